// What somebody who wants to be rid of the sensor does to it, for tests that do it to a sensor of
// their own.
//   tamper name ID...        names of BPF maps, a line each
//   tamper zero ID           overwrites a map's first entry with zeros
//   tamper clear ID          deletes a map's first entry
//   tamper detach ID         detaches a BPF link
//   tamper seize PID MS      takes hold of a process as a debugger does, for so long
//   tamper notified PATH     prints each datagram that comes to that socket, until its input ends
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "say.h"

static long bpf(int command, union bpf_attr *attributes)
{
    return call(SYS_bpf, command, (long)attributes, sizeof(*attributes), 0, 0);
}

static int open_by_id(int command, const char *id)
{
    union bpf_attr by = {.map_id = strtoul(id, NULL, 10)};
    const long fd = bpf(command, &by);
    if (fd < 0) {
        errno = -fd;
        die(id);
    }
    return fd;
}

static struct bpf_map_info map_info(int fd)
{
    struct bpf_map_info info = {};
    union bpf_attr ask = {.info = {.bpf_fd = fd, .info_len = sizeof(info), .info = (long)&info}};
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, &ask))
        die("info");
    return info;
}

static void change(const char *id, int command)
{
    static char key[8192], value[65536];
    const int fd = open_by_id(BPF_MAP_GET_FD_BY_ID, id);
    union bpf_attr next = {.map_fd = fd, .next_key = (long)key};
    if (bpf(BPF_MAP_GET_NEXT_KEY, &next))
        die("no entry");
    union bpf_attr element = {.map_fd = fd, .key = (long)key};
    if (command == BPF_MAP_UPDATE_ELEM)
        element.value = (long)value;
    if (bpf(command, &element))
        die("change");
}

static void seize(pid_t pid, int milliseconds)
{
    if (ptrace(PTRACE_SEIZE, pid, 0, 0))
        die("seize");
    // It stops for each signal until we let it go on.
    for (int i = 0; i < milliseconds / 10; i++) {
        int status;
        if (waitpid(pid, &status, __WALL | WNOHANG) == pid && WIFSTOPPED(status))
            ptrace(PTRACE_CONT, pid, 0, status >> 16 ? 0 : WSTOPSIG(status));
        usleep(10000);
    }
    // A thread has to stop before it can be let go; with our end it is let go, too.
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, pid, 0, 0);
}

static void notified(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
        die(path);
    puts("bound");
    fflush(stdout);
    for (;;) {
        struct pollfd both[] = {{fd, POLLIN, 0}, {0, POLLIN, 0}};
        if (poll(both, 2, -1) < 0 || both[1].revents)
            return;
        char text[4096];
        const ssize_t size = recv(fd, text, sizeof(text) - 1, 0);
        if (size < 0)
            return;
        for (ssize_t i = 0; i < size; i++)
            putchar(text[i] == '\n' ? ' ' : text[i]);
        putchar('\n');
        fflush(stdout);
    }
}

int main(int count, char **words)
{
    const char *act = count > 2 ? words[1] : "";
    if (!strcmp(act, "name")) {
        for (int i = 2; i < count; i++)
            puts(map_info(open_by_id(BPF_MAP_GET_FD_BY_ID, words[i])).name);
    } else if (!strcmp(act, "zero")) {
        change(words[2], BPF_MAP_UPDATE_ELEM);
    } else if (!strcmp(act, "clear")) {
        change(words[2], BPF_MAP_DELETE_ELEM);
    } else if (!strcmp(act, "detach")) {
        union bpf_attr detach = {
            .link_detach = {.link_fd = open_by_id(BPF_LINK_GET_FD_BY_ID, words[2])}};
        if (bpf(BPF_LINK_DETACH, &detach))
            die("detach");
    } else if (!strcmp(act, "seize") && count > 3) {
        seize(atoi(words[2]), atoi(words[3]));
    } else if (!strcmp(act, "notified")) {
        notified(words[2]);
    } else {
        die("unknown act");
    }
    return 0;
}
