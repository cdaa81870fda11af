// See refuser-addon.h. All of it runs on the main thread.
#include "refuser-addon.h"

#include "raise.h"
#include "refuser.h"

namespace picket
{

namespace
{

using Bytes = Napi::Uint8Array;

std::string text_of(const Napi::Value &value)
{
    return value.As<Napi::String>().Utf8Value();
}

uint64_t cgroup_of(const Napi::CallbackInfo &info)
{
    return static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value());
}

Napi::Value bytes_of(Napi::Env env, const uint8_t *data, size_t size)
{
    Bytes out = Bytes::New(env, size);
    std::copy(data, data + size, out.Data());
    return out;
}

class RefuserObject : public Napi::ObjectWrap<RefuserObject>
{
  public:
    explicit RefuserObject(const Napi::CallbackInfo &info) : Napi::ObjectWrap<RefuserObject>(info)
    {
        Napi::Object options = info[0].As<Napi::Object>();
        if (Failure failed =
                refuser_.open(text_of(options.Get("object")), text_of(options.Get("layoutHash")),
                              text_of(options.Get("folder")), text_of(options.Get("cgroupRoot"))))
            raise(info.Env(), failed);
    }

    Napi::Value adopt(const Napi::CallbackInfo &info)
    {
        bool found = false;
        if (Failure failed = refuser_.adopt(found))
            raise(info.Env(), failed);
        return Napi::Boolean::New(info.Env(), found);
    }

    void load(const Napi::CallbackInfo &info)
    {
        std::vector<std::string> programs;
        Napi::Array names = info[0].As<Napi::Array>();
        for (uint32_t i = 0; i < names.Length(); i++)
            programs.push_back(text_of(names.Get(i)));
        if (Failure failed = refuser_.load(programs))
            raise(info.Env(), failed);
    }

    void attach(const Napi::CallbackInfo &info)
    {
        if (Failure failed = refuser_.attach(text_of(info[0]), cgroup_of(info)))
            raise(info.Env(), failed);
    }

    void detach(const Napi::CallbackInfo &info)
    {
        refuser_.detach(text_of(info[0]), cgroup_of(info));
    }

    Napi::Value attached(const Napi::CallbackInfo &info)
    {
        return Napi::Boolean::New(info.Env(), refuser_.attached(text_of(info[0]), cgroup_of(info)));
    }

    void map_update(const Napi::CallbackInfo &info)
    {
        Bytes key = info[1].As<Bytes>();
        Bytes value = info[2].As<Bytes>();
        if (Failure failed = refuser_.map_update(text_of(info[0]), key.Data(), key.ByteLength(),
                                                 value.Data(), value.ByteLength()))
            raise(info.Env(), failed);
    }

    void map_delete(const Napi::CallbackInfo &info)
    {
        Bytes key = info[1].As<Bytes>();
        if (Failure failed = refuser_.map_delete(text_of(info[0]), key.Data(), key.ByteLength()))
            raise(info.Env(), failed);
    }

    Napi::Value map_lookup(const Napi::CallbackInfo &info)
    {
        Bytes key = info[1].As<Bytes>();
        std::vector<uint8_t> value;
        if (Failure failed =
                refuser_.map_lookup(text_of(info[0]), key.Data(), key.ByteLength(), value))
            raise(info.Env(), failed);
        return value.empty() ? info.Env().Undefined()
                             : bytes_of(info.Env(), value.data(), value.size());
    }

    Napi::Value map_keys(const Napi::CallbackInfo &info)
    {
        std::vector<uint8_t> keys;
        if (Failure failed = refuser_.map_keys(text_of(info[0]), keys))
            raise(info.Env(), failed);
        return bytes_of(info.Env(), keys.data(), keys.size());
    }

    Napi::Value read(const Napi::CallbackInfo &info)
    {
        Napi::Array out = Napi::Array::New(info.Env());
        Slot slots[256];
        while (size_t count = refuser_.ring().read(slots, std::size(slots))) {
            for (size_t i = 0; i < count; i++)
                out.Set(out.Length(), bytes_of(info.Env(), refuser_.ring_data() + slots[i].offset,
                                               slots[i].size));
            refuser_.ring().advance();
        }
        return out;
    }

    void close(const Napi::CallbackInfo &)
    {
        refuser_.close();
    }

  private:
    Refuser refuser_;
};

} // namespace

Napi::Function define_refuser(Napi::Env env)
{
    using Self = RefuserObject;
    return Self::DefineClass(env, "Refuser",
                             {
                                 Self::InstanceMethod<&Self::adopt>("adopt"),
                                 Self::InstanceMethod<&Self::load>("load"),
                                 Self::InstanceMethod<&Self::attach>("attach"),
                                 Self::InstanceMethod<&Self::detach>("detach"),
                                 Self::InstanceMethod<&Self::attached>("attached"),
                                 Self::InstanceMethod<&Self::map_update>("mapUpdate"),
                                 Self::InstanceMethod<&Self::map_delete>("mapDelete"),
                                 Self::InstanceMethod<&Self::map_lookup>("mapLookup"),
                                 Self::InstanceMethod<&Self::map_keys>("mapKeys"),
                                 Self::InstanceMethod<&Self::read>("read"),
                                 Self::InstanceMethod<&Self::close>("close"),
                             });
}

} // namespace picket
