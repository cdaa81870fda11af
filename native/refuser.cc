// See refuser.h.
#include "refuser.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel.h"

namespace picket
{

namespace
{

constexpr int kernfs_id = 0xfe; // FILEID_KERNFS, include/linux/exportfs.h
constexpr const char *ring_name = "refusals";

std::string link_name(const std::string &program, uint64_t cgroup)
{
    return program + "-" + std::to_string(cgroup);
}

bool is_cgroup(bpf_program *program)
{
    return std::string(bpf_program__section_name(program)).starts_with("cgroup");
}

} // namespace

Refuser::~Refuser()
{
    close();
}

Failure Refuser::open(const std::string &object, const std::string &layout_hash,
                      const std::string &folder, const std::string &cgroups)
{
    object_path_ = object;
    folder_ = folder;
    cgroups_ = cgroups;
    return check_layout(object, layout_hash);
}

std::string Refuser::pin_of(const std::string &name) const
{
    return folder_ + "/" + name;
}

// Keeps the descriptor, which is the caller's no more.
Failure Refuser::map_keep(const std::string &name, int fd)
{
    if (fd < 0)
        return failure("MAP", errno, "cannot keep table " + name);
    maps_[name] = fd;
    if (name != ring_name)
        return {};
    bpf_map_info info = {};
    uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &size))
        return failure("RING", errno, "cannot ask about the ring of refusals");
    if (int error = ring_.open(fd, info.max_entries))
        return failure("RING", error, "cannot map the ring of refusals");
    return {};
}

Failure Refuser::adopt(bool &found)
{
    found = false;
    if (folder_.empty())
        return {};
    log_begin();
    bpf_object *object = bpf_object__open_file(object_path_.c_str(), nullptr);
    if (!object)
        return failure("OPEN", errno, "cannot open " + object_path_);
    Failure failed;
    bpf_map *map;
    bpf_object__for_each_map(map, object)
    {
        if (bpf_map__is_internal(map) || failed)
            continue;
        const std::string name = bpf_map__name(map);
        const int fd = bpf_obj_get(pin_of(name).c_str());
        if (fd < 0 && errno == ENOENT)
            continue;
        failed = map_keep(name, fd);
        found = true;
    }
    bpf_object__close(object);
    return failed;
}

Failure Refuser::load(const std::vector<std::string> &programs)
{
    if (std::all_of(programs.begin(), programs.end(),
                    [&](const std::string &name) { return programs_.count(name); }))
        return {};
    log_begin();
    bpf_object *object = bpf_object__open_file(object_path_.c_str(), nullptr);
    if (!object)
        return failure("OPEN", errno, "cannot open " + object_path_);
    bpf_program *program;
    bpf_object__for_each_program(program, object)
    {
        const std::string name = bpf_program__name(program);
        bpf_program__set_autoload(program, !programs_.count(name) &&
                                               std::find(programs.begin(), programs.end(), name) !=
                                                   programs.end());
    }
    const int cpus = libbpf_num_possible_cpus();
    bpf_map *map;
    bpf_object__for_each_map(map, object)
    {
        const std::string name = bpf_map__name(map);
        const auto kept = maps_.find(name);
        int error = 0;
        if (kept != maps_.end())
            error = bpf_map__reuse_fd(map, kept->second);
        else if (name == "path_walks" || name == "path_texts" || name == "exec_works")
            error = bpf_map__set_max_entries(map, std::max(64, 2 * cpus));
        if (error) {
            bpf_object__close(object);
            return failure("MAP", -error, "cannot take over table " + name);
        }
    }
    if (Failure failed = load_object(object)) {
        bpf_object__close(object);
        return failed;
    }
    Failure failed;
    bpf_object__for_each_map(map, object)
    {
        const std::string name = bpf_map__name(map);
        if (bpf_map__is_internal(map) || maps_.count(name) || failed)
            continue;
        if (!folder_.empty() && bpf_obj_pin(bpf_map__fd(map), pin_of(name).c_str()))
            failed = failure("MAP", errno, "cannot pin table " + name);
        else
            failed = map_keep(name, fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0));
    }
    if (failed) {
        bpf_object__close(object);
        return failed;
    }
    objects_.push_back(object);
    bpf_object__for_each_program(program, object)
    {
        if (bpf_program__fd(program) >= 0)
            programs_[bpf_program__name(program)] = program;
    }
    return {};
}

// A cgroup's id is the handle of its directory.
int Refuser::cgroup_open(uint64_t id) const
{
    const int root = ::open(cgroups_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || id == 0)
        return root;
    alignas(file_handle) char bytes[sizeof(file_handle) + sizeof(id)];
    auto *handle = reinterpret_cast<file_handle *>(bytes);
    handle->handle_bytes = sizeof(id);
    handle->handle_type = kernfs_id;
    memcpy(handle->f_handle, &id, sizeof(id));
    const int fd = open_by_handle_at(root, handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int error = errno;
    ::close(root);
    errno = error == ESTALE ? ENOENT : error;
    return fd;
}

Failure Refuser::attach(const std::string &name, uint64_t cgroup)
{
    log_begin();
    const auto found = programs_.find(name);
    auto failed_to = [&](int error) {
        Failure failed = failure("ATTACH", error, "cannot attach " + name);
        failed.program = name;
        return failed;
    };
    if (found == programs_.end())
        return failed_to(EINVAL); // ENOENT says that the cgroup is gone
    bpf_program *program = found->second;
    const std::string section = bpf_program__section_name(program);
    const std::string prefix = "tracepoint/";
    int link;
    if (is_cgroup(program)) {
        const int directory = cgroup_open(cgroup);
        if (directory < 0)
            return failed_to(errno);
        link = bpf_link_create(bpf_program__fd(program), directory,
                               bpf_program__expected_attach_type(program), nullptr);
        ::close(directory);
    } else if (section.starts_with(prefix)) {
        const int event = tracefs_.open_event(section.substr(prefix.size()));
        if (event < 0)
            return failed_to(-event);
        link = bpf_link_create(bpf_program__fd(program), event, BPF_PERF_EVENT, nullptr);
        ::close(event);
    } else {
        link = bpf_raw_tracepoint_open(nullptr, bpf_program__fd(program));
    }
    if (link < 0)
        return failed_to(-link);
    const std::string key = link_name(name, cgroup);
    if (folder_.empty()) {
        links_[key] = link;
        return {};
    }
    // An earlier one, of a process before us, may be there: this one is in force already.
    unlink(pin_of(key).c_str());
    const int error = bpf_obj_pin(link, pin_of(key).c_str()) ? errno : 0;
    ::close(link);
    return error ? failed_to(error) : Failure();
}

// The caller's to close; negative when there is none.
int Refuser::link_of(const std::string &name) const
{
    if (!folder_.empty())
        return bpf_obj_get(pin_of(name).c_str());
    const auto link = links_.find(name);
    return link == links_.end() ? -1 : fcntl(link->second, F_DUPFD_CLOEXEC, 0);
}

void Refuser::detach(const std::string &program, uint64_t cgroup)
{
    const std::string name = link_name(program, cgroup);
    const int link = link_of(name);
    if (!folder_.empty())
        unlink(pin_of(name).c_str());
    const auto held = links_.find(name);
    if (held != links_.end()) {
        ::close(held->second);
        links_.erase(held);
    }
    if (link < 0)
        return;
    // At once for a cgroup's; the kernel lets go of the others in the background.
    bpf_link_detach(link);
    ::close(link);
}

bool Refuser::attached(const std::string &program, uint64_t cgroup) const
{
    const int link = link_of(link_name(program, cgroup));
    if (link < 0)
        return false;
    bpf_link_info info = {};
    uint32_t size = sizeof(info);
    const int error = bpf_obj_get_info_by_fd(link, &info, &size);
    ::close(link);
    if (error || info.prog_id == 0)
        return false;
    if (info.type != BPF_LINK_TYPE_CGROUP)
        return true;
    const int directory = cgroup_open(cgroup);
    if (directory < 0)
        return false;
    uint32_t ids[64];
    uint32_t count = std::size(ids);
    const int refused = bpf_prog_query(
        directory, static_cast<bpf_attach_type>(info.cgroup.attach_type), 0, nullptr, ids, &count);
    ::close(directory);
    return !refused && std::find(ids, ids + count, info.prog_id) != ids + count;
}

int Refuser::map_fd(const std::string &name, uint32_t &key_size, uint32_t &value_size) const
{
    const auto map = maps_.find(name);
    bpf_map_info info = {};
    uint32_t size = sizeof(info);
    if (map == maps_.end() || bpf_obj_get_info_by_fd(map->second, &info, &size))
        return -1;
    key_size = info.key_size;
    value_size = info.value_size;
    if (info.type == BPF_MAP_TYPE_PERCPU_ARRAY)
        value_size *= static_cast<uint32_t>(libbpf_num_possible_cpus());
    return map->second;
}

Failure Refuser::map_update(const std::string &name, const void *key, size_t key_size,
                            const void *value, size_t value_size)
{
    uint32_t keys = 0, values = 0;
    const int fd = map_fd(name, keys, values);
    log_begin();
    if (fd < 0 || keys != key_size || values != value_size)
        return failure("MAP", EINVAL, "no such entries in table " + name);
    if (bpf_map_update_elem(fd, key, value, BPF_ANY))
        return failure("MAP", errno, "cannot write to table " + name);
    return {};
}

Failure Refuser::map_delete(const std::string &name, const void *key, size_t key_size)
{
    uint32_t keys = 0, values = 0;
    const int fd = map_fd(name, keys, values);
    log_begin();
    if (fd < 0 || keys != key_size)
        return failure("MAP", EINVAL, "no such entries in table " + name);
    if (bpf_map_delete_elem(fd, key) && errno != ENOENT)
        return failure("MAP", errno, "cannot delete from table " + name);
    return {};
}

Failure Refuser::map_lookup(const std::string &name, const void *key, size_t key_size,
                            std::vector<uint8_t> &value) const
{
    uint32_t keys = 0, values = 0;
    const int fd = map_fd(name, keys, values);
    log_begin();
    if (fd < 0 || keys != key_size)
        return failure("MAP", EINVAL, "no such entries in table " + name);
    value.resize(values);
    if (bpf_map_lookup_elem(fd, key, value.data()) == 0)
        return {};
    value.clear();
    return errno == ENOENT ? Failure() : failure("MAP", errno, "cannot read table " + name);
}

Failure Refuser::map_keys(const std::string &name, std::vector<uint8_t> &keys) const
{
    uint32_t size = 0, values = 0;
    const int fd = map_fd(name, size, values);
    log_begin();
    if (fd < 0)
        return failure("MAP", EINVAL, "no table " + name);
    std::vector<uint8_t> key(size), next(size);
    const void *before = nullptr;
    // Nobody but us deletes; were it otherwise, the walk could begin anew for ever.
    for (size_t i = 0; i < 65536 && bpf_map_get_next_key(fd, before, next.data()) == 0; i++) {
        keys.insert(keys.end(), next.begin(), next.end());
        key = next;
        before = key.data();
    }
    return {};
}

void Refuser::close()
{
    ring_.close();
    for (auto &[name, fd] : links_)
        ::close(fd);
    links_.clear();
    for (auto &[name, fd] : maps_)
        ::close(fd);
    maps_.clear();
    programs_.clear();
    for (bpf_object *object : objects_)
        bpf_object__close(object);
    objects_.clear();
}

} // namespace picket
