// The second object, which refuses: its programs, maps and links, and their pins in a BPF file
// system, with which they outlive this process. Knows libbpf and nothing of Node. Main thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "library.h"
#include "ring.h"
#include "tracepoint.h"

namespace picket
{

class Refuser
{
  public:
    Refuser() = default;
    Refuser(const Refuser &) = delete;
    Refuser &operator=(const Refuser &) = delete;
    ~Refuser();

    // Loads nothing. `folder`: for the pins, exists; "" for none. `cgroups`: where cgroup2 is
    // mounted.
    Failure open(const std::string &object, const std::string &layout_hash,
                 const std::string &folder, const std::string &cgroups);
    // Takes over the maps that an earlier process has pinned. `found`: were there any?
    Failure adopt(bool &found);
    // Loads those programs that are not loaded yet, with the maps there are.
    Failure load(const std::vector<std::string> &programs);
    // Hooks a program up; `cgroup`: the id of which, 0 for the root, of no matter to others. ENOENT
    // when there is no such cgroup.
    Failure attach(const std::string &program, uint64_t cgroup);
    void detach(const std::string &program, uint64_t cgroup);
    // Asks the kernel whether it runs there.
    bool attached(const std::string &program, uint64_t cgroup) const;

    Failure map_update(const std::string &name, const void *key, size_t key_size, const void *value,
                       size_t value_size);
    Failure map_delete(const std::string &name, const void *key, size_t key_size);
    // `value` is empty when there is no such key.
    Failure map_lookup(const std::string &name, const void *key, size_t key_size,
                       std::vector<uint8_t> &value) const;
    // All keys, one behind the other.
    Failure map_keys(const std::string &name, std::vector<uint8_t> &keys) const;
    RingReader &ring()
    {
        return ring_.reader();
    }
    const uint8_t *ring_data() const
    {
        return static_cast<const uint8_t *>(ring_.data());
    }
    // Lets go of everything; what is pinned stays in force.
    void close();

  private:
    std::string pin_of(const std::string &name) const;
    int link_of(const std::string &name) const;
    int cgroup_open(uint64_t id) const;
    int map_fd(const std::string &name, uint32_t &key_size, uint32_t &value_size) const;
    Failure map_keep(const std::string &name, int fd);

    std::string object_path_;
    std::string folder_;
    std::string cgroups_;
    std::vector<bpf_object *> objects_;
    std::map<std::string, bpf_program *> programs_;
    std::map<std::string, int> maps_;
    // Without a folder: links live as long as this process.
    std::map<std::string, int> links_;
    Tracefs tracefs_;
    Ring ring_;
};

} // namespace picket
