// Loads the object given and hooks up every program in it, says so, and stays until its standard
// input ends.
#include "../../native/tracepoint.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cstdio>
#include <string>
#include <unistd.h>
#include <vector>

namespace
{

bool attach(bpf_program *program, picket::Tracefs &tracefs)
{
    const std::string section = bpf_program__section_name(program);
    const std::string kind = "tracepoint/";
    if (!section.starts_with(kind))
        return bpf_program__attach(program) != nullptr;
    // libbpf would look for the tracepoint in a mounted tracefs only.
    const int event = tracefs.open_event(section.substr(kind.size()));
    return event >= 0 && bpf_program__attach_perf_event(program, event) != nullptr;
}

unsigned long long total(int map, unsigned int key, std::vector<unsigned long long> &of_cpus)
{
    unsigned long long sum = 0;
    if (bpf_map_lookup_elem(map, &key, of_cpus.data()) == 0)
        for (unsigned long long value : of_cpus)
            sum += value;
    return sum;
}

} // namespace

int main(int count, char **arguments)
{
    bpf_object *object = count == 2 ? bpf_object__open_file(arguments[1], nullptr) : nullptr;
    if (!object || bpf_object__load(object)) {
        fprintf(stderr, "floor: cannot load the object\n");
        return 1;
    }
    picket::Tracefs tracefs;
    bpf_program *program;
    bpf_object__for_each_program(program, object)
    {
        if (!attach(program, tracefs)) {
            fprintf(stderr, "floor: cannot attach %s\n", bpf_program__name(program));
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
    const int map = bpf_object__find_map_fd_by_name(object, "counts");
    std::vector<unsigned long long> of_cpus(libbpf_num_possible_cpus());
    printf("{\"opens\":%llu,\"connects\":%llu,\"execs\":%llu}\n", total(map, 0, of_cpus),
           total(map, 1, of_cpus), total(map, 2, of_cpus));
    return 0;
}
