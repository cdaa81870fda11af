// Kernel's look at itself (kernel.h): is what we hooked up still ours and in place, do the tables
// hold what we wrote? Asks the kernel by our own descriptors; some microseconds each.
#include "kernel.h"

#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <linux/perf_event.h>
#include <sys/ioctl.h>

namespace picket
{

namespace
{

constexpr size_t most_programs = 64;

uint32_t id_of(const bpf_program *program)
{
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    const int fd = bpf_program__fd(program);
    return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.id : 0;
}

// Before 5.15 a program on a tracepoint is no link: the event says what is on its tracepoint.
std::string check_event(int event, uint32_t program)
{
    std::vector<uint32_t> room(sizeof(perf_event_query_bpf) / sizeof(uint32_t) + most_programs);
    auto *query = reinterpret_cast<perf_event_query_bpf *>(room.data());
    query->ids_len = most_programs;
    if (ioctl(event, PERF_EVENT_IOC_QUERY_BPF, query) && errno != ENOSPC)
        return std::string("its descriptor is not ours any more: ") + strerror(errno);
    for (uint32_t i = 0; i < query->prog_cnt && i < most_programs; i++) {
        if (query->ids[i] == program)
            return "";
    }
    return query->prog_cnt > most_programs ? "" : "the kernel runs it there no more";
}

std::string check_link(int fd, uint32_t program, uint32_t &id)
{
    bpf_link_info info = {};
    uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &size))
        return std::string("its descriptor is not ours any more: ") + strerror(errno);
    id = info.id;
    if (info.prog_id != program)
        return "another program (id " + std::to_string(info.prog_id) + ") runs in its place";
    if (info.type == BPF_LINK_TYPE_CGROUP && info.cgroup.cgroup_id == 0)
        return "the kernel runs it there no more";
    return "";
}

} // namespace

std::vector<HookState> Kernel::hook_states() const
{
    std::vector<HookState> out;
    std::map<std::string, uint32_t> ids;
    for (const auto &[name, hook] : hooks_) {
        const auto &[program, target] = name;
        if (!ids.count(program))
            ids[program] = id_of(bpf_object__find_program_by_name(object_, program.c_str()));
        HookState state = {program, target, ids[program], 0, ""};
        const int fd = bpf_link__fd(hook.link);
        state.problem = hook.event >= 0 ? check_event(fd, state.program_id)
                                        : check_link(fd, state.program_id, state.link_id);
        out.push_back(std::move(state));
    }
    return out;
}

std::vector<std::pair<std::string, uint32_t>> Kernel::map_ids() const
{
    std::vector<std::pair<std::string, uint32_t>> out;
    bpf_map *map;
    bpf_object__for_each_map(map, object_)
    {
        bpf_map_info info = {};
        uint32_t size = sizeof(info);
        if (bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &size) == 0)
            out.emplace_back(bpf_map__name(map), info.id);
    }
    return out;
}

Failure Kernel::map_entries(const std::string &name, std::vector<uint8_t> &out) const
{
    bpf_map *map = object_ ? bpf_object__find_map_by_name(object_, name.c_str()) : nullptr;
    if (!map)
        return failure("MAP", ENOENT, "no table " + name);
    const uint32_t key_size = bpf_map__key_size(map);
    const uint32_t value_size = bpf_map__value_size(map);
    const uint32_t most = bpf_map__max_entries(map);
    const int fd = bpf_map__fd(map);
    std::vector<uint8_t> key(key_size), entry(key_size + value_size);
    // Whoever removes a key that we stand at sends us back to the first one: no more than there can
    // be.
    for (uint32_t i = 0; i < most; i++) {
        if (bpf_map_get_next_key(fd, i == 0 ? nullptr : key.data(), entry.data())) {
            if (errno == ENOENT)
                return {};
            return failure("MAP", errno, "cannot read table " + name);
        }
        memcpy(key.data(), entry.data(), key_size);
        if (bpf_map_lookup_elem(fd, entry.data(), entry.data() + key_size) == 0)
            out.insert(out.end(), entry.begin(), entry.end());
    }
    return {};
}

} // namespace picket
