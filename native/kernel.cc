// See kernel.h.
#include "kernel.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "../bpf/event.h"

namespace picket
{

namespace
{

constexpr size_t most_events = 512;

bool is_contract(const std::string &name)
{
    static const char *const tables[] = {"event_header", "text",           "standard_stream",
                                         "settings",     "class_counters", "path_key",
                                         "name_key",     "suffix_key"};
    if (name.ends_with("_event") || name.starts_with("refusal_"))
        return true;
    return std::any_of(std::begin(tables), std::end(tables),
                       [&](const char *table) { return name == table; });
}

bool is_contract_enum(const std::string &name)
{
    return name == "event_kind" || name == "event_flag" || name == "open_interest" ||
           name == "connect_interest" || name == "scope" || name == "syscall_x86_64" ||
           name == "syscall_arm64" || name.starts_with("refusal_");
}

void *destroy_link(void *link)
{
    bpf_link__destroy(static_cast<bpf_link *>(link));
    return nullptr;
}

} // namespace

std::string Layout::hash() const
{
    uint64_t state = 0xcbf29ce484222325; // FNV-1a, 64 bits
    auto add = [&](const std::string &text) {
        for (unsigned char byte : text)
            state = (state ^ byte) * 0x100000001b3;
    };
    for (const Struct &each : structs) {
        add(each.name + " " + std::to_string(each.size) + "\n");
        for (const Member &member : each.members)
            add(member.name + " " + std::to_string(member.offset) + " " +
                std::to_string(member.size) + "\n");
    }
    for (const Enum &each : enums) {
        add(each.name + "\n");
        for (const auto &[name, value] : each.values)
            add(name + " " + std::to_string(value) + "\n");
    }
    char out[17];
    snprintf(out, sizeof(out), "%016llx", static_cast<unsigned long long>(state));
    return out;
}

Failure describe_layout(const std::string &object, Layout &out)
{
    log_begin();
    std::unique_ptr<btf, decltype(&btf__free)> types(btf__parse_elf(object.c_str(), nullptr),
                                                     btf__free);
    if (!types)
        return failure("LAYOUT", errno, "cannot read the type information of " + object);
    const uint32_t count = btf__type_cnt(types.get());
    for (uint32_t id = 1; id < count; id++) {
        const btf_type *type = btf__type_by_id(types.get(), id);
        const char *name = btf__name_by_offset(types.get(), type->name_off);
        if (btf_is_struct(type) && is_contract(name)) {
            Struct found{name, type->size, {}};
            const btf_member *members = btf_members(type);
            for (uint32_t i = 0; i < btf_vlen(type); i++) {
                found.members.push_back(
                    {btf__name_by_offset(types.get(), members[i].name_off),
                     btf_member_bit_offset(type, i) / 8,
                     static_cast<uint32_t>(btf__resolve_size(types.get(), members[i].type))});
            }
            out.structs.push_back(std::move(found));
        } else if (btf_is_enum(type) && is_contract_enum(name)) {
            Enum found{name, {}};
            const struct btf_enum *values = btf_enum(type);
            for (uint32_t i = 0; i < btf_vlen(type); i++)
                found.values.emplace_back(btf__name_by_offset(types.get(), values[i].name_off),
                                          values[i].val);
            out.enums.push_back(std::move(found));
        }
    }
    auto by_name = [](const auto &a, const auto &b) { return a.name < b.name; };
    std::sort(out.structs.begin(), out.structs.end(), by_name);
    std::sort(out.enums.begin(), out.enums.end(), by_name);
    return {};
}

Failure check_layout(const std::string &object, const std::string &hash)
{
    Layout layout;
    if (Failure failed = describe_layout(object, layout))
        return failed;
    if (layout.hash() != hash)
        return {"LAYOUT",
                "the layout of " + object + " is " + layout.hash() + ", the agent was built for " +
                    hash + "; run `npm run setup`",
                "", "", EINVAL};
    return {};
}

Kernel::~Kernel()
{
    close();
}

Failure Kernel::load(const std::string &object, uint32_t ring_bytes,
                     const std::vector<std::string> &programs, const std::string &layout_hash)
{
    if (Failure failed = check_layout(object, layout_hash))
        return failed;
    log_begin();
    object_ = bpf_object__open_file(object.c_str(), nullptr);
    if (!object_)
        return failure("OPEN", errno, "cannot open " + object);
    bpf_map *ring = bpf_object__find_map_by_name(object_, "ring");
    if (!ring || bpf_map__set_max_entries(ring, ring_bytes))
        return failure("RING", EINVAL,
                       "the ring cannot be " + std::to_string(ring_bytes) + " bytes");

    bpf_program *program;
    bpf_object__for_each_program(program, object_)
    {
        const std::string name = bpf_program__name(program);
        bpf_program__set_autoload(program, std::find(programs.begin(), programs.end(), name) !=
                                               programs.end());
    }
    if (Failure failed = load_object(object_))
        return failed;
    events_ = bpf_map_create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, "picket_events", sizeof(uint32_t),
                             sizeof(int), most_events, nullptr);
    places_.assign(events_ < 0 ? 0 : most_events, false);
    return {};
}

// Returns the event's place in the table, or -1.
int Kernel::keep(int event)
{
    const auto free = std::find(places_.begin(), places_.end(), false);
    const auto place = static_cast<uint32_t>(free - places_.begin());
    if (free == places_.end() || bpf_map_update_elem(events_, &place, &event, BPF_ANY))
        return -1;
    *free = true;
    return static_cast<int>(place);
}

// The kernel waits for each program on an event until nobody can be in it (from 6.13 on,
// ef1b808e3b7c): side by side they wait for the same. The others go first: taking them off changes
// the kernel's code, also where threads begin.
void Kernel::release(const std::vector<Hook> &hooks)
{
    for (const Hook &hook : hooks) {
        if (hook.place < 0)
            bpf_link__destroy(hook.link);
    }
    std::vector<pthread_t> threads;
    for (const Hook &hook : hooks) {
        if (hook.place < 0)
            continue;
        pthread_t thread;
        if (pthread_create(&thread, nullptr, destroy_link, hook.link) == 0)
            threads.push_back(thread);
        else
            destroy_link(hook.link);
    }
    for (pthread_t thread : threads)
        pthread_join(thread, nullptr);
    for (const Hook &hook : hooks) {
        if (hook.place < 0)
            continue;
        bpf_map_delete_elem(events_, &hook.place);
        places_[hook.place] = false;
    }
}

Failure Kernel::attach(const std::string &name, const std::string &target)
{
    log_begin();
    bpf_program *program =
        object_ ? bpf_object__find_program_by_name(object_, name.c_str()) : nullptr;
    if (!program || bpf_program__fd(program) < 0) {
        Failure failed = failure("ATTACH", ENOENT, "program " + name + " is not loaded");
        failed.program = name;
        return failed;
    }
    const std::string section = bpf_program__section_name(program);
    const std::string prefix = "tracepoint/";
    Hook hook = {nullptr, -1, -1};
    bpf_link *&link = hook.link;
    if (section.starts_with("cgroup")) {
        const int cgroup = open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (cgroup >= 0) {
            link = bpf_program__attach_cgroup(program, cgroup);
            const int error = errno;
            ::close(cgroup);
            errno = error;
        }
    } else if (section == "tracepoint" || section.starts_with(prefix)) {
        const int event =
            tracefs_.open_event(target.empty() ? section.substr(prefix.size()) : target);
        if (event < 0) {
            errno = -event;
        } else {
            link = bpf_program__attach_perf_event(program, event);
            if (link && bpf_link__fd(link) != event) {
                hook.place = keep(event);
            } else if (link) {
                hook.event = event;
            } else {
                const int error = errno;
                ::close(event);
                errno = error;
            }
        }
    } else {
        link = bpf_program__attach(program);
    }
    if (!link) {
        Failure failed =
            failure("ATTACH", errno,
                    "cannot attach " + name + " (" + (target.empty() ? section : target) + ")");
        failed.program = name;
        return failed;
    }
    hooks_[{name, target}] = hook;
    return {};
}

void Kernel::detach(const std::vector<std::pair<std::string, std::string>> &hooks)
{
    std::vector<Hook> found;
    for (const auto &name : hooks) {
        const auto hook = hooks_.find(name);
        if (hook == hooks_.end())
            continue;
        found.push_back(hook->second);
        hooks_.erase(hook);
    }
    release(found);
}

void Kernel::close()
{
    std::vector<Hook> all;
    for (auto &[name, hook] : hooks_) {
        if (hook.event >= 0)
            hook.place = keep(hook.event);
        all.push_back(hook);
    }
    hooks_.clear();
    release(all);
    if (events_ >= 0)
        ::close(events_);
    events_ = -1;
    places_.clear();
    bpf_object__close(object_);
    object_ = nullptr;
}

int Kernel::map_fd(const std::string &name) const
{
    return object_ ? bpf_object__find_map_fd_by_name(object_, name.c_str()) : -1;
}

Failure Kernel::map_update(const std::string &name, const void *key, size_t key_size,
                           const void *value, size_t value_size)
{
    bpf_map *map = object_ ? bpf_object__find_map_by_name(object_, name.c_str()) : nullptr;
    if (!map)
        return failure("MAP", ENOENT, "no table " + name);
    if (key_size != bpf_map__key_size(map) || value_size != bpf_map__value_size(map))
        return failure("MAP", EINVAL, "wrong sizes for table " + name);
    if (bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY))
        return failure("MAP", errno, "cannot write to table " + name);
    return {};
}

Failure Kernel::map_delete(const std::string &name, const void *key, size_t key_size, bool &found)
{
    bpf_map *map = object_ ? bpf_object__find_map_by_name(object_, name.c_str()) : nullptr;
    if (!map)
        return failure("MAP", ENOENT, "no table " + name);
    if (key_size != bpf_map__key_size(map))
        return failure("MAP", EINVAL, "wrong key size for table " + name);
    found = bpf_map_delete_elem(bpf_map__fd(map), key) == 0;
    if (!found && errno != ENOENT)
        return failure("MAP", errno, "cannot delete from table " + name);
    return {};
}

size_t Kernel::counters(double *out, size_t capacity) const
{
    constexpr size_t fields = sizeof(class_counters) / sizeof(uint64_t);
    const int fd = map_fd("counters");
    const int cpus = libbpf_num_possible_cpus();
    if (fd < 0 || cpus < 1 || capacity < EVENT_KINDS * fields)
        return 0;
    std::vector<uint64_t> values(cpus * fields);
    for (uint32_t kind = 0; kind < EVENT_KINDS; kind++) {
        double *sums = out + kind * fields;
        std::fill(sums, sums + fields, 0);
        if (bpf_map_lookup_elem(fd, &kind, values.data()))
            continue;
        for (size_t i = 0; i < values.size(); i++)
            sums[i % fields] += static_cast<double>(values[i]);
    }
    return EVENT_KINDS;
}

bool Kernel::attached(const std::string &program) const
{
    return std::any_of(hooks_.begin(), hooks_.end(),
                       [&](const auto &hook) { return hook.first.first == program; });
}

std::vector<Program> Kernel::programs() const
{
    std::vector<Program> out;
    bpf_program *program;
    bpf_object__for_each_program(program, object_)
    {
        const int fd = bpf_program__fd(program);
        if (fd < 0)
            continue;
        bpf_prog_info info = {};
        uint32_t size = sizeof(info);
        // Older kernels fill less; what they leave out stays 0.
        bpf_obj_get_info_by_fd(fd, &info, &size);
        const std::string name = bpf_program__name(program);
        out.push_back({name, attached(name), info.verified_insns, info.recursion_misses});
    }
    return out;
}

} // namespace picket
