// Starts the uplink: "picket-launch PROGRAM ARGUMENT…". What must be so before Node's first
// instruction: Node makes itself an io_uring that a filter set later cannot look into, and starts
// threads whose bounding sets nobody could empty any more.
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "confine.h"

namespace
{

constexpr unsigned int nr_io_uring_setup = 425;

// As on a kernel without it: Node does without, too.
int forbid_io_uring()
{
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

} // namespace

int main(int, char **arguments)
{
    if (!arguments[1])
        return 2;
    // Not root: then there is none to empty, and confine() tells what it finds.
    (void)picket::drop_bounding_set(true);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || forbid_io_uring()) {
        fprintf(stderr, "cannot set up seccomp: %s\n", strerror(errno));
        return 1;
    }
    execv(arguments[1], arguments + 1);
    fprintf(stderr, "cannot execute %s: %s\n", arguments[1], strerror(errno));
    return 1;
}
