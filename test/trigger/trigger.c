// Performs one act of each kind, and prints what it did as one JSON object a line: who it is, what
// the kernel answered, which file it was. Tests compare that with the event. Static, so that it
// opens nothing by itself.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "trigger: %s: %s\n", what, strerror(errno));
    exit(99);
}

static void say(const char *format, long a, long b, long c)
{
    printf("{\"pid\":%d,", getpid());
    printf(format, a, b, c);
    printf("}\n");
    fflush(stdout);
}

static void say_file(long result)
{
    struct stat file = {0};
    if (result >= 0)
        fstat(result, &file);
    printf("{\"pid\":%d,\"result\":%ld,\"device\":%lu,\"inode\":%lu,\"mode\":%u}\n", getpid(),
           result < 0 ? -(long)errno : result,
           (unsigned long)major(file.st_dev) << 20 | minor(file.st_dev), (unsigned long)file.st_ino,
           file.st_mode);
    fflush(stdout);
}

// open HOW PATH FLAGS [DIRECTORY]
static int act_open(char **arguments)
{
    const char *how = arguments[0], *path = arguments[1];
    int flags = strtol(arguments[2], NULL, 0);
    int directory = arguments[3] ? open(arguments[3], O_PATH | O_DIRECTORY) : AT_FDCWD;
    long result = -1;
    if (!strcmp(how, "openat")) {
        result = syscall(SYS_openat, directory, path, flags, 0644);
    } else if (!strcmp(how, "openat2")) {
        struct open_how open_how = {.flags = flags, .mode = flags & O_CREAT ? 0644 : 0};
        result = syscall(SYS_openat2, directory, path, &open_how, sizeof(open_how));
#ifdef SYS_open
    } else if (!strcmp(how, "open")) {
        result = syscall(SYS_open, path, flags, 0644);
    } else if (!strcmp(how, "creat")) {
        result = syscall(SYS_creat, path, 0644);
#endif
    } else {
        die(how);
    }
    say_file(result);
    return 0;
}

// connect tcp4|tcp6|udp4|udp6|unix|abstract ADDRESS [PORT] [nonblock]
static int act_connect(char **arguments)
{
    const char *how = arguments[0];
    int port = arguments[2] ? atoi(arguments[2]) : 0;
    int kind = strncmp(how, "udp", 3) ? SOCK_STREAM : SOCK_DGRAM;
    if (arguments[2] && arguments[3])
        kind |= SOCK_NONBLOCK;
    struct sockaddr_storage storage = {0};
    socklen_t size;
    int family = AF_INET;
    if (!strcmp(how, "unix") || !strcmp(how, "abstract")) {
        struct sockaddr_un *address = (struct sockaddr_un *)&storage;
        family = address->sun_family = AF_UNIX;
        int abstract = how[0] == 'a';
        strncpy(address->sun_path + abstract, arguments[1], sizeof(address->sun_path) - 2);
        size = offsetof(struct sockaddr_un, sun_path) + strlen(arguments[1]) + 1;
    } else if (how[3] == '6') {
        struct sockaddr_in6 *address = (struct sockaddr_in6 *)&storage;
        family = address->sin6_family = AF_INET6;
        address->sin6_port = htons(port);
        if (inet_pton(AF_INET6, arguments[1], &address->sin6_addr) != 1)
            die(arguments[1]);
        size = sizeof(*address);
    } else {
        struct sockaddr_in *address = (struct sockaddr_in *)&storage;
        address->sin_family = AF_INET;
        address->sin_port = htons(port);
        if (inet_pton(AF_INET, arguments[1], &address->sin_addr) != 1)
            die(arguments[1]);
        size = sizeof(*address);
    }
    int fd = socket(family, kind, 0);
    if (fd < 0)
        die("socket");
    long result = connect(fd, (struct sockaddr *)&storage, size) ? -errno : 0;
    struct sockaddr_storage local = {0};
    socklen_t local_size = sizeof(local);
    getsockname(fd, (struct sockaddr *)&local, &local_size);
    say("\"result\":%ld,\"localPort\":%ld", result, ntohs(((struct sockaddr_in *)&local)->sin_port),
        0);
    return 0;
}

// memfd ARGUMENTS…: runs itself from anonymous memory.
static int act_memfd(char **arguments)
{
    int from = open("/proc/self/exe", O_RDONLY), to = memfd_create("payload", MFD_CLOEXEC);
    char buffer[65536];
    ssize_t got;
    while ((got = read(from, buffer, sizeof(buffer))) > 0)
        if (write(to, buffer, got) != got)
            die("write");
    arguments[-1] = "memfd-child";
    fexecve(to, arguments - 1, environ);
    die("fexecve");
    return 99;
}

// reverse PORT PROGRAM: runs it with a connection as its standard input and output.
static int act_reverse(char **arguments)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[0]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
        die("connect");
    if (dup2(fd, 0) || dup2(fd, 1) != 1)
        die("dup2");
    char *program[] = {arguments[1], "exit", "0", "reverse", NULL};
    execv(program[0], program);
    die(program[0]);
    return 99;
}

static void *thread_exit(void *barrier)
{
    pthread_barrier_wait(barrier);
    syscall(SYS_exit, 0);
    return NULL;
}

// threads N: N threads and the first one leave at the same moment.
static int act_threads(char **arguments)
{
    int count = atoi(arguments[0]);
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, count + 1);
    say("\"threads\":%ld", count, 0, 0);
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, thread_exit, &barrier))
            die("pthread_create");
    }
    thread_exit(&barrier);
    return 0;
}

// fork: a child that ends with 7.
static int act_fork(void)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    int status;
    waitpid(child, &status, 0);
    say("\"child\":%ld,\"status\":%ld", child, status, 0);
    return 0;
}

// orphan: a child that outlives its parent, sees who inherits it, and opens a file afterwards.
static int act_orphan(void)
{
    pid_t parent = getpid();
    if (fork())
        return 0;
    while (getppid() == parent)
        usleep(1000);
    usleep(20000); // the parent's exit is reported by now
    int fd = open("/dev/null", O_RDONLY);
    say("\"parent\":%ld,\"result\":%ld", getppid(), fd, 0);
    return 0;
}

static long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

// opens N PATH: as fast as it goes.
static int act_opens(char **arguments)
{
    long count = atol(arguments[0]), done = 0, begun = nanoseconds();
    for (long i = 0; i < count; i++) {
        int fd = open(arguments[1], O_RDONLY);
        if (fd >= 0) {
            done++;
            close(fd);
        }
    }
    say("\"opens\":%ld,\"ns\":%ld", done, nanoseconds() - begun, 0);
    return 0;
}

// forks N: children that exit at once.
static int act_forks(char **arguments)
{
    long count = atol(arguments[0]), begun = nanoseconds();
    for (long i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
    say("\"forks\":%ld,\"ns\":%ld", count, nanoseconds() - begun, 0);
    return 0;
}

// execs N: children that execute this program, which then ends at once.
static int act_execs(char **arguments)
{
    long count = atol(arguments[0]);
    for (long i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", "trigger", "nothing", NULL);
            _exit(1);
        }
        waitpid(child, NULL, 0);
    }
    say("\"execs\":%ld", count, 0, 0);
    return 0;
}

int main(int count, char **arguments)
{
    const char *act = count > 1 ? arguments[1] : "";
    if (!strcmp(act, "open") && count > 4)
        return act_open(arguments + 2);
    if (!strcmp(act, "connect") && count > 3)
        return act_connect(arguments + 2);
    if (!strcmp(act, "reverse") && count > 3)
        return act_reverse(arguments + 2);
    if (!strcmp(act, "fork"))
        return act_fork();
    if (!strcmp(act, "orphan"))
        return act_orphan();
    if (!strcmp(act, "opens") && count > 3)
        return act_opens(arguments + 2);
    if (!strcmp(act, "forks") && count > 2)
        return act_forks(arguments + 2);
    if (!strcmp(act, "execs") && count > 2)
        return act_execs(arguments + 2);
    if (!strcmp(act, "nothing"))
        return 0;
    if (!strcmp(act, "threads") && count > 2)
        return act_threads(arguments + 2);
    if (!strcmp(act, "memfd"))
        return act_memfd(arguments + 2);
    if (!strcmp(arguments[0], "memfd-child") || !strcmp(act, "exit")) {
        say("\"uid\":%ld", getuid(), 0, 0);
        return count > 2 ? atoi(arguments[2]) : 0;
    }
    if (!strcmp(act, "signal") && count > 2) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        say("\"signal\":%ld", atoi(arguments[2]), 0, 0);
        raise(atoi(arguments[2]));
        return 0;
    }
    if (!strcmp(act, "exec") && count > 2) {
        say("\"exec\":%ld", 1, 0, 0);
        execv(arguments[2], arguments + 3);
        die(arguments[2]);
    }
    fprintf(stderr, "usage: trigger "
                    "open|connect|fork|orphan|opens|forks|execs|nothing|threads|memfd|reverse|exit|"
                    "signal|exec …\n");
    return 98;
}
