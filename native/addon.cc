// The glue between Node and the mechanics beside it. All of it runs on the main thread; nothing
// throws C++ exceptions, errors become JavaScript ones with a code.
#include <cerrno>
#include <ctime>
#include <malloc.h>
#include <napi.h>
#include <unistd.h>
#include <uv.h>

#include "confine.h"
#include "kernel.h"
#include "process.h"
#include "raise.h"
#include "refuser-addon.h"
#include "ring.h"

namespace picket
{

namespace
{

void raise_system(Napi::Env env, int negative, const char *what)
{
    raise(env, {"SYSTEM", std::string(what) + ": " + strerror(-negative), "", "", -negative});
}

Napi::Value describe(const Napi::CallbackInfo &info)
{
    Napi::Env env = info.Env();
    Layout layout;
    if (Failure failed = describe_layout(info[0].As<Napi::String>().Utf8Value(), layout)) {
        raise(env, failed);
        return env.Undefined();
    }
    Napi::Array structs = Napi::Array::New(env);
    for (const Struct &each : layout.structs) {
        Napi::Array members = Napi::Array::New(env);
        for (const Member &member : each.members) {
            Napi::Object entry = Napi::Object::New(env);
            entry.Set("name", member.name);
            entry.Set("offset", member.offset);
            entry.Set("size", member.size);
            members.Set(members.Length(), entry);
        }
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("name", each.name);
        entry.Set("size", each.size);
        entry.Set("members", members);
        structs.Set(structs.Length(), entry);
    }
    Napi::Array enums = Napi::Array::New(env);
    for (const Enum &each : layout.enums) {
        Napi::Object values = Napi::Object::New(env);
        for (const auto &[name, value] : each.values)
            values.Set(name, static_cast<double>(value));
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("name", each.name);
        entry.Set("values", values);
        enums.Set(enums.Length(), entry);
    }
    Napi::Object out = Napi::Object::New(env);
    out.Set("structs", structs);
    out.Set("enums", enums);
    out.Set("hash", layout.hash());
    return out;
}

} // namespace

class Sensor : public Napi::ObjectWrap<Sensor>
{
  public:
    static Napi::Function define(Napi::Env env)
    {
        return DefineClass(env, "Sensor",
                           {
                               InstanceAccessor<&Sensor::ring>("ring"),
                               InstanceMethod<&Sensor::attach>("attach"),
                               InstanceMethod<&Sensor::detach>("detach"),
                               InstanceMethod<&Sensor::start>("start"),
                               InstanceMethod<&Sensor::read>("read"),
                               InstanceMethod<&Sensor::advance>("advance"),
                               InstanceMethod<&Sensor::pending>("pending"),
                               InstanceMethod<&Sensor::damages>("damages"),
                               InstanceMethod<&Sensor::counters>("counters"),
                               InstanceMethod<&Sensor::map_update>("mapUpdate"),
                               InstanceMethod<&Sensor::map_delete>("mapDelete"),
                               InstanceMethod<&Sensor::programs>("programs"),
                               InstanceMethod<&Sensor::hook_states>("hookStates"),
                               InstanceMethod<&Sensor::map_ids>("mapIds"),
                               InstanceMethod<&Sensor::map_entries>("mapEntries"),
                               InstanceMethod<&Sensor::close>("close"),
                           });
    }

    explicit Sensor(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Sensor>(info)
    {
        Napi::Env env = info.Env();
        Napi::Object options = info[0].As<Napi::Object>();
        std::vector<std::string> programs;
        Napi::Array names = options.Get("programs").As<Napi::Array>();
        for (uint32_t i = 0; i < names.Length(); i++)
            programs.push_back(names.Get(i).As<Napi::String>().Utf8Value());
        const uint32_t bytes = options.Get("ringBytes").As<Napi::Number>().Uint32Value();
        if (Failure failed =
                kernel_.load(options.Get("object").As<Napi::String>().Utf8Value(), bytes, programs,
                             options.Get("layoutHash").As<Napi::String>().Utf8Value())) {
            kernel_.close();
            raise(env, failed);
            return;
        }
        if (int error = ring_.open(kernel_.map_fd("ring"), bytes)) {
            kernel_.close();
            raise(env,
                  {"RING", std::string("cannot map the ring: ") + strerror(error), "", "", error});
            return;
        }
        // No finalizer: the mapping belongs to ring_, and is detached from JavaScript before it
        // goes.
        Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, ring_.data(), ring_.mapped_bytes());
        buffer_ = Napi::Persistent(buffer);
        napi_add_env_cleanup_hook(env, &Sensor::on_environment_end, this);
        hooked_ = true;
    }

    ~Sensor() override
    {
        if (hooked_)
            napi_remove_env_cleanup_hook(Env(), &Sensor::on_environment_end, this);
        stop();
    }

  private:
    static void on_environment_end(void *self)
    {
        auto *sensor = static_cast<Sensor *>(self);
        sensor->hooked_ = false;
        sensor->stop();
    }

    Napi::Value ring(const Napi::CallbackInfo &info)
    {
        return buffer_.IsEmpty() ? Napi::ArrayBuffer::New(info.Env(), 0)
                                 : Napi::Value(buffer_.Value());
    }

    void attach(const Napi::CallbackInfo &info)
    {
        if (Failure failed =
                kernel_.attach(info[0].As<Napi::String>().Utf8Value(), target_of(info)))
            raise(info.Env(), failed);
    }

    void detach(const Napi::CallbackInfo &info)
    {
        std::vector<std::pair<std::string, std::string>> hooks;
        Napi::Array names = info[0].As<Napi::Array>();
        for (uint32_t i = 0; i < names.Length(); i++) {
            Napi::Object hook = names.Get(i).As<Napi::Object>();
            hooks.emplace_back(hook.Get("program").As<Napi::String>().Utf8Value(),
                               hook.Get("target").As<Napi::String>().Utf8Value());
        }
        kernel_.detach(hooks);
    }

    static std::string target_of(const Napi::CallbackInfo &info)
    {
        return info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : "";
    }

    void start(const Napi::CallbackInfo &info)
    {
        uv_loop_t *loop = nullptr;
        napi_get_uv_event_loop(info.Env(), &loop);
        ready_ = Napi::Persistent(info[0].As<Napi::Function>());
        context_ = std::make_unique<Napi::AsyncContext>(info.Env(), "picket:ring");
        poll_ = new uv_poll_t;
        poll_->data = this;
        if (int error = uv_poll_init(loop, poll_, kernel_.map_fd("ring"))) {
            delete poll_;
            poll_ = nullptr;
            raise_system(info.Env(), error, "cannot watch the ring");
            return;
        }
        timer_ = new uv_timer_t;
        timer_->data = this;
        uv_timer_init(loop, timer_);
        pause_ = info[1].As<Napi::Number>().Uint32Value();
        listen();
    }

    // Waits for the kernel to wake us: it does when it puts a record into an empty ring.
    void listen()
    {
        uv_poll_start(poll_, UV_READABLE, [](uv_poll_t *handle, int, int) {
            auto *sensor = static_cast<Sensor *>(handle->data);
            uv_poll_stop(handle);
            sensor->drain();
        });
    }

    // Reads now, and looks again after a pause instead of being woken for every record: while the
    // ring is not empty bulk records come without a wake-up. With nothing to do there is no timer
    // either.
    void drain()
    {
        wake();
        if (!timer_)
            return; // closed by what was read
        uv_timer_start(
            timer_,
            [](uv_timer_t *handle) {
                auto *sensor = static_cast<Sensor *>(handle->data);
                if (sensor->ring_.reader().pending() > 0)
                    sensor->drain();
                else
                    sensor->listen();
            },
            pause_, 0);
    }

    void wake()
    {
        if (ring_.reader().pending() == 0 || ready_.IsEmpty())
            return;
        Napi::Env env = Env();
        Napi::HandleScope scope(env);
        ready_.MakeCallback(env.Global(), std::initializer_list<napi_value>{}, *context_);
        if (env.IsExceptionPending()) {
            Napi::Error error = env.GetAndClearPendingException();
            napi_fatal_exception(env, error.Value());
        }
    }

    Napi::Value read(const Napi::CallbackInfo &info)
    {
        Napi::Uint32Array slots = info[0].As<Napi::Uint32Array>();
        static_assert(sizeof(Slot) == 8, "a slot is two u32");
        const size_t count =
            ring_.reader().read(reinterpret_cast<Slot *>(slots.Data()), slots.ElementLength() / 2);
        return Napi::Number::New(info.Env(), static_cast<double>(count));
    }

    void advance(const Napi::CallbackInfo &)
    {
        ring_.reader().advance();
    }

    Napi::Value pending(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), static_cast<double>(ring_.reader().pending()));
    }

    Napi::Value damages(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), static_cast<double>(ring_.reader().damages()));
    }

    void counters(const Napi::CallbackInfo &info)
    {
        Napi::Float64Array out = info[0].As<Napi::Float64Array>();
        if (kernel_.counters(out.Data(), out.ElementLength()) == 0)
            raise(info.Env(),
                  {"MAP", "the counters cannot be read into this array", "", "", EINVAL});
    }

    void map_update(const Napi::CallbackInfo &info)
    {
        Napi::Uint8Array key = info[1].As<Napi::Uint8Array>();
        Napi::Uint8Array value = info[2].As<Napi::Uint8Array>();
        if (Failure failed = kernel_.map_update(info[0].As<Napi::String>().Utf8Value(), key.Data(),
                                                key.ByteLength(), value.Data(), value.ByteLength()))
            raise(info.Env(), failed);
    }

    Napi::Value map_delete(const Napi::CallbackInfo &info)
    {
        Napi::Uint8Array key = info[1].As<Napi::Uint8Array>();
        bool found = false;
        if (Failure failed = kernel_.map_delete(info[0].As<Napi::String>().Utf8Value(), key.Data(),
                                                key.ByteLength(), found))
            raise(info.Env(), failed);
        return Napi::Boolean::New(info.Env(), found);
    }

    Napi::Value programs(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        Napi::Array out = Napi::Array::New(env);
        for (const Program &program : kernel_.programs()) {
            Napi::Object entry = Napi::Object::New(env);
            entry.Set("name", program.name);
            entry.Set("attached", program.attached);
            entry.Set("verifiedInstructions", program.verified);
            entry.Set("missed", static_cast<double>(program.missed));
            out.Set(out.Length(), entry);
        }
        return out;
    }

    Napi::Value hook_states(const Napi::CallbackInfo &info)
    {
        Napi::Env env = info.Env();
        Napi::Array out = Napi::Array::New(env);
        for (const HookState &hook : kernel_.hook_states()) {
            Napi::Object entry = Napi::Object::New(env);
            entry.Set("program", hook.program);
            entry.Set("target", hook.target);
            entry.Set("programId", hook.program_id);
            entry.Set("linkId", hook.link_id);
            entry.Set("problem", hook.problem);
            out.Set(out.Length(), entry);
        }
        return out;
    }

    Napi::Value map_ids(const Napi::CallbackInfo &info)
    {
        Napi::Object out = Napi::Object::New(info.Env());
        for (const auto &[name, id] : kernel_.map_ids())
            out.Set(name, id);
        return out;
    }

    Napi::Value map_entries(const Napi::CallbackInfo &info)
    {
        std::vector<uint8_t> entries;
        if (Failure failed = kernel_.map_entries(info[0].As<Napi::String>().Utf8Value(), entries)) {
            raise(info.Env(), failed);
            return info.Env().Undefined();
        }
        return Napi::Buffer<uint8_t>::Copy(info.Env(), entries.data(), entries.size());
    }

    void close(const Napi::CallbackInfo &)
    {
        if (!buffer_.IsEmpty()) {
            buffer_.Value().Detach();
            buffer_.Reset();
        }
        stop();
    }

    // The handles outlive us until the loop has let go of them.
    void stop()
    {
        if (poll_) {
            uv_poll_stop(poll_);
            uv_close(reinterpret_cast<uv_handle_t *>(poll_),
                     [](uv_handle_t *handle) { delete reinterpret_cast<uv_poll_t *>(handle); });
            poll_ = nullptr;
        }
        if (timer_) {
            uv_timer_stop(timer_);
            uv_close(reinterpret_cast<uv_handle_t *>(timer_),
                     [](uv_handle_t *handle) { delete reinterpret_cast<uv_timer_t *>(handle); });
            timer_ = nullptr;
        }
        ready_.Reset();
        context_.reset();
        ring_.close();
        kernel_.close();
    }

    Kernel kernel_;
    Ring ring_;
    Napi::Reference<Napi::ArrayBuffer> buffer_;
    Napi::FunctionReference ready_;
    std::unique_ptr<Napi::AsyncContext> context_;
    uv_poll_t *poll_ = nullptr;
    uv_timer_t *timer_ = nullptr;
    uint64_t pause_ = 0;
    bool hooked_ = false;
};

namespace
{

// A system call that answers with a number or a negative errno.
Napi::Value answer(const Napi::CallbackInfo &info, int result, const char *what)
{
    if (result < 0) {
        raise_system(info.Env(), result, what);
        return info.Env().Undefined();
    }
    return Napi::Number::New(info.Env(), result);
}

Napi::Value js_pidfd_open(const Napi::CallbackInfo &info)
{
    return answer(info, pidfd_open(info[0].As<Napi::Number>().Int32Value()), "pidfd_open");
}

Napi::Value js_pidfd_signal(const Napi::CallbackInfo &info)
{
    return answer(info,
                  pidfd_signal(info[0].As<Napi::Number>().Int32Value(),
                               info[1].As<Napi::Number>().Int32Value()),
                  "pidfd_send_signal");
}

Napi::Value js_pidfd_exited(const Napi::CallbackInfo &info)
{
    const int result = pidfd_exited(info[0].As<Napi::Number>().Int32Value());
    if (result < 0)
        return answer(info, result, "poll");
    return Napi::Boolean::New(info.Env(), result > 0);
}

void js_close(const Napi::CallbackInfo &info)
{
    ::close(info[0].As<Napi::Number>().Int32Value());
}

Napi::Value js_lock_file(const Napi::CallbackInfo &info)
{
    const int result = lock_file(info[0].As<Napi::String>().Utf8Value());
    if (result == -EWOULDBLOCK)
        return Napi::Number::New(info.Env(), -1);
    return answer(info, result, "cannot lock");
}

Napi::Value js_notify(const Napi::CallbackInfo &info)
{
    const int result =
        notify(info[0].As<Napi::String>().Utf8Value(), info[1].As<Napi::String>().Utf8Value());
    return Napi::Boolean::New(info.Env(), result == 0);
}

Napi::Value js_peer_credentials(const Napi::CallbackInfo &info)
{
    ucred peer = {};
    const int result = peer_credentials(info[0].As<Napi::Number>().Int32Value(), &peer);
    if (result < 0)
        return answer(info, result, "cannot tell who connected");
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("pid", static_cast<double>(peer.pid));
    out.Set("uid", static_cast<double>(peer.uid));
    out.Set("gid", static_cast<double>(peer.gid));
    return out;
}

Napi::Value js_socket_unconfirmed(const Napi::CallbackInfo &info)
{
    const int result = socket_unconfirmed(info[0].As<Napi::Number>().Int32Value());
    return answer(info, result, "cannot tell what was confirmed");
}

double milliseconds(clockid_t clock)
{
    timespec now = {};
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

Napi::Value js_clocks(const Napi::CallbackInfo &info)
{
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("bootMs", milliseconds(CLOCK_BOOTTIME));
    out.Set("realMs", milliseconds(CLOCK_REALTIME));
    return out;
}

void js_trim_memory(const Napi::CallbackInfo &)
{
    malloc_trim(0);
}

Napi::Value js_drop_bounding_set(const Napi::CallbackInfo &info)
{
    return Napi::Boolean::New(info.Env(), drop_bounding_set(false) == 0);
}

Napi::Array texts(Napi::Env env, const std::vector<std::string> &from)
{
    Napi::Array out = Napi::Array::New(env);
    for (const std::string &text : from)
        out.Set(out.Length(), text);
    return out;
}

Napi::Value js_confine(const Napi::CallbackInfo &info)
{
    if (is_root()) {
        raise_system(info.Env(), -EPERM, "the process is root's still");
        return info.Env().Undefined();
    }
    const Confinement confinement = confine(info[0].ToBoolean());
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("holds", texts(info.Env(), confinement.holds));
    out.Set("problems", texts(info.Env(), confinement.problems));
    return out;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports)
{
    exports.Set("Sensor", Sensor::define(env));
    exports.Set("Refuser", define_refuser(env));
    exports.Set("describeLayout", Napi::Function::New(env, describe));
    exports.Set("dropBoundingSet", Napi::Function::New(env, js_drop_bounding_set));
    exports.Set("confine", Napi::Function::New(env, js_confine));
    exports.Set("pidfdOpen", Napi::Function::New(env, js_pidfd_open));
    exports.Set("pidfdSignal", Napi::Function::New(env, js_pidfd_signal));
    exports.Set("pidfdExited", Napi::Function::New(env, js_pidfd_exited));
    exports.Set("closeDescriptor", Napi::Function::New(env, js_close));
    exports.Set("lockFile", Napi::Function::New(env, js_lock_file));
    exports.Set("notify", Napi::Function::New(env, js_notify));
    exports.Set("peerCredentials", Napi::Function::New(env, js_peer_credentials));
    exports.Set("socketUnconfirmed", Napi::Function::New(env, js_socket_unconfirmed));
    exports.Set("trimMemory", Napi::Function::New(env, js_trim_memory));
    exports.Set("clocks", Napi::Function::New(env, js_clocks));
    return exports;
}

} // namespace

NODE_API_MODULE(picket, initialise)

} // namespace picket
