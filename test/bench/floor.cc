// Loads the object given and hooks up every program in it, says so, and stays until its standard
// input ends.
#include "../../native/tracepoint.h"

#include <bpf/libbpf.h>
#include <cstdio>
#include <string>
#include <unistd.h>

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
    return 0;
}
