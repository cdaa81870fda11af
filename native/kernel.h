// The loaded object: programs, maps, layout. Knows libbpf and nothing of Node. Main thread only.
#pragma once

#include <bpf/libbpf.h>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "library.h"
#include "tracepoint.h"

namespace picket
{

struct Member {
    std::string name;
    uint32_t offset;
    uint32_t size;
};
struct Struct {
    std::string name;
    uint32_t size;
    std::vector<Member> members;
};
struct Enum {
    std::string name;
    std::vector<std::pair<std::string, int64_t>> values;
};
struct Layout {
    std::vector<Struct> structs;
    std::vector<Enum> enums;
    std::string hash() const;
};

// Reads the event contract from an object's BTF.
Failure describe_layout(const std::string &object, Layout &out);

// Fails when the object's contract is not the one with that hash.
Failure check_layout(const std::string &object, const std::string &hash);

struct Program {
    std::string name;
    bool attached;
    uint32_t verified;
    uint64_t missed;
};

// A program in one place, as the kernel has it now. `problem`: "" when it runs there.
struct HookState {
    std::string program;
    std::string target;
    uint32_t program_id;
    uint32_t link_id; // 0 where the kernel has no link for it
    std::string problem;
};

class Kernel
{
  public:
    Kernel() = default;
    Kernel(const Kernel &) = delete;
    Kernel &operator=(const Kernel &) = delete;
    ~Kernel();

    Failure load(const std::string &object, uint32_t ring_bytes,
                 const std::vector<std::string> &programs, const std::string &layout_hash);
    // `target`: for a program that is hooked up in several places which one, a tracepoint
    // ("category/name") or the directory of a cgroup; else "".
    Failure attach(const std::string &program, const std::string &target);
    // Hooks by program and target, all at once; those that are not there are passed over.
    void detach(const std::vector<std::pair<std::string, std::string>> &hooks);
    void close();

    bool attached(const std::string &program) const;
    // -1 when there is no such map.
    int map_fd(const std::string &name) const;
    // `key` and `value` must have the map's sizes.
    Failure map_update(const std::string &name, const void *key, size_t key_size, const void *value,
                       size_t value_size);
    Failure map_delete(const std::string &name, const void *key, size_t key_size, bool &found);
    // Sums struct class_counters of every kind over all CPUs; returns how many kinds there are.
    size_t counters(double *out, size_t capacity) const;
    std::vector<Program> programs() const;

    // See integrity.cc.
    std::vector<HookState> hook_states() const;
    std::vector<std::pair<std::string, uint32_t>> map_ids() const;
    // Keys with their values, one behind the other; not for tables with a value a CPU.
    Failure map_entries(const std::string &name, std::vector<uint8_t> &out) const;

  private:
    struct Hook {
        bpf_link *link;
        int place; // of a tracepoint's event in events_, or -1
        // Before 5.15: the event of which the program is a part, or -1. As long as the kernel has
        // not let go of it the program stays attached there and cannot be attached again, so that
        // it only goes into events_ at the end.
        int event;
    };

    int keep(int event);
    void release(const std::vector<Hook> &hooks);

    bpf_object *object_ = nullptr;
    // By program and target.
    std::map<std::pair<std::string, std::string>, Hook> hooks_;
    // A table of the tracepoints' events. Whoever lets go of such an event waits until no processor
    // can be in the tracepoint, one event at a time; the kernel lets go of what is in a table in
    // the background.
    int events_ = -1;
    std::vector<bool> places_;
    Tracefs tracefs_;
};

} // namespace picket
