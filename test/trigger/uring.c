// Asks for things through io_uring instead of system calls, without liburing: uring MODES ACT
// ARGUMENTS MODES, letters: s a thread of the kernel submits, a a worker carries out, d results are
// handed out in the caller's own time, k successes are not told, - none of these. Prints the
// results and what fstat() says of the file that was opened.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SLOT 3

static int ring;
static int polled, each;
static unsigned *sq_tail, *sq_flags, *sq_array, *cq_head, *cq_tail, mask;
static struct io_uring_sqe *entries;
static struct io_uring_cqe *results;
static unsigned queued;

static long must(long result)
{
    if (result >= 0)
        return result;
    perror("uring");
    exit(errno == ENOSYS || errno == EPERM ? 77 : 99);
}

static void set_up(const char *modes)
{
    struct io_uring_params params = {0};
    polled = strchr(modes, 's') != NULL;
    if (polled)
        params.flags |= IORING_SETUP_SQPOLL;
    params.sq_thread_idle = 2000;
    if (strchr(modes, 'd'))
        params.flags |= IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER;
    each =
        (strchr(modes, 'a') ? IOSQE_ASYNC : 0) | (strchr(modes, 'k') ? IOSQE_CQE_SKIP_SUCCESS : 0);
    ring = must(syscall(SYS_io_uring_setup, 8, &params));
    size_t size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    char *rings = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    entries = mmap(0, params.sq_entries * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED,
                   ring, IORING_OFF_SQES);
    if (rings == MAP_FAILED || entries == MAP_FAILED)
        must(-1);
    sq_tail = (unsigned *)(rings + params.sq_off.tail);
    sq_flags = (unsigned *)(rings + params.sq_off.flags);
    sq_array = (unsigned *)(rings + params.sq_off.array);
    cq_head = (unsigned *)(rings + params.cq_off.head);
    cq_tail = (unsigned *)(rings + params.cq_off.tail);
    mask = params.cq_entries - 1;
    results = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
    int none[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    must(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, none, 8));
}

static struct io_uring_sqe *entry(int operation, int fd, const void *address)
{
    struct io_uring_sqe *sqe = &entries[queued];
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = operation;
    sqe->flags = each;
    sqe->fd = fd;
    sqe->addr = (unsigned long)address;
    sqe->user_data = queued;
    sq_array[queued] = queued;
    queued++;
    return sqe;
}

// Hands in all entries and collects as many results as are told, by entry.
static void carry_out(int *out, unsigned told)
{
    __atomic_store_n(sq_tail, queued, __ATOMIC_SEQ_CST);
    unsigned flags = told ? IORING_ENTER_GETEVENTS : 0;
    if (polled && __atomic_load_n(sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
        flags |= IORING_ENTER_SQ_WAKEUP;
    must(syscall(SYS_io_uring_enter, ring, polled ? 0 : queued, told, flags, NULL, 0));
    for (unsigned n = 0; n < told; n++) {
        unsigned head = *cq_head;
        while (head == __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE))
            must(syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
        out[results[head & mask].user_data] = results[head & mask].res;
        __atomic_store_n(cq_head, head + 1, __ATOMIC_RELEASE);
    }
}

static void report(int result, int fd)
{
    struct stat file = {0};
    if (fd >= 0)
        must(fstat(fd, &file));
    printf("{\"result\":%d,\"inode\":%lu,\"device\":%lu,\"mode\":%u}\n", result, file.st_ino,
           file.st_dev, file.st_mode);
}

static void ask_open(const char *path, int flags, int directory)
{
    struct io_uring_sqe *sqe = entry(IORING_OP_OPENAT, directory, path);
    sqe->open_flags = flags;
    sqe->len = 0600;
}

static void ask_slot(const char *path, int flags)
{
    ask_open(path, flags, AT_FDCWD);
    entries[queued - 1].file_index = SLOT + 1;
}

// The number the next open will get.
static int next_descriptor(void)
{
    int fd = must(dup(0));
    close(fd);
    return fd;
}

static void connect_to(const struct sockaddr *to, unsigned size, int type, int *out)
{
    int fd = must(socket(to->sa_family, type, 0));
    entry(IORING_OP_CONNECT, fd, to)->off = size;
    carry_out(out, 1);
}

// Of names below the working directory.
static int change(const char *act, const char *what, const char *other)
{
    static const char *acts[] = {"rename", "unlink", "rmdir", "mkdir", "symlink", "link"};
    static const int operations[] = {IORING_OP_RENAMEAT, IORING_OP_UNLINKAT,  IORING_OP_UNLINKAT,
                                     IORING_OP_MKDIRAT,  IORING_OP_SYMLINKAT, IORING_OP_LINKAT};
    for (int i = 0; i < 6; i++) {
        if (strcmp(act, acts[i]))
            continue;
        struct io_uring_sqe *sqe = entry(operations[i], AT_FDCWD, what);
        if (other)
            sqe->off = (unsigned long)other;
        if (operations[i] == IORING_OP_RENAMEAT || operations[i] == IORING_OP_LINKAT)
            sqe->len = AT_FDCWD;
        if (!strcmp(act, "mkdir"))
            sqe->len = 0750;
        if (!strcmp(act, "rmdir"))
            sqe->unlink_flags = AT_REMOVEDIR;
        return 1;
    }
    return 0;
}

int main(int count, char **arguments)
{
    if (count < 4)
        return 98;
    const char *modes = arguments[1], *act = arguments[2], *what = arguments[3];
    const int number = count > 4 ? strtol(arguments[4], 0, 0) : 0;
    int out[8] = {0};
    set_up(modes);
    const unsigned told = strchr(modes, 'k') ? 0 : 1;
    if (!strcmp(act, "open")) {
        ask_open(what, number, count > 5 ? atoi(arguments[5]) : AT_FDCWD);
        if (!told) /* told as the only one, and after the open */
            entry(IORING_OP_NOP, -1, NULL)->flags = 0;
        carry_out(out, 1);
        report(out[0], told ? out[0] : -1);
    } else if (!strcmp(act, "openat2")) {
        struct open_how how = {.flags = number, .mode = number & O_CREAT ? 0600 : 0};
        struct io_uring_sqe *sqe = entry(IORING_OP_OPENAT2, AT_FDCWD, what);
        sqe->off = (unsigned long)&how;
        sqe->len = sizeof(how);
        carry_out(out, 1);
        report(out[0], out[0]);
    } else if (!strcmp(act, "slot")) {
        ask_slot(what, number);
        carry_out(out, 1);
        report(out[0], -1);
    } else if (!strcmp(act, "batch") && count > 4) {
        ask_open(what, O_RDONLY, AT_FDCWD);
        entry(IORING_OP_CLOSE, next_descriptor(), NULL);
        ask_open(arguments[4], O_RDONLY, AT_FDCWD);
        carry_out(out, 3);
        report(out[0], -1);
        report(out[2], -1);
    } else if (!strcmp(act, "slots") && count > 4) {
        ask_slot(what, O_RDONLY);
        entry(IORING_OP_CLOSE, 0, NULL)->file_index = SLOT + 1;
        ask_slot(arguments[4], O_RDONLY);
        carry_out(out, 3);
        report(out[0], -1);
        report(out[2], -1);
    } else if (change(act, what, count > 4 ? arguments[4] : NULL)) {
        carry_out(out, 1);
        report(out[0], -1);
    } else if (!strcmp(act, "connect")) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(what))};
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connect_to((struct sockaddr *)&to, sizeof(to), number ? number : SOCK_STREAM, out);
        report(out[0], -1);
    } else if (!strcmp(act, "send")) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(what))};
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        struct iovec text = {.iov_base = "x", .iov_len = 1};
        struct msghdr message = {
            .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &text, .msg_iovlen = 1};
        entry(IORING_OP_SENDMSG, must(socket(AF_INET, SOCK_DGRAM, 0)), &message)->len = 1;
        carry_out(out, 1);
        report(out[0], -1);
    } else if (!strcmp(act, "unix")) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        strncpy(to.sun_path, what, sizeof(to.sun_path) - 1);
        connect_to((struct sockaddr *)&to, sizeof(to), SOCK_STREAM, out);
        report(out[0], -1);
    } else {
        return 98;
    }
    return 0;
}
