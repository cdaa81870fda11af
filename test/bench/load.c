// Load for the capture benchmark: does one kind of operation many times, on one core, and prints
// how many and in how long as one JSON object. Static, so that it opens nothing by itself.
//
// load [-c CORE] [-r RATE] [-s SECONDS] KIND COUNT [ARGUMENT [MARK]]
// RATE is operations a second (as fast as it goes without); COUNT 0 goes on until SECONDS are over.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *argument, *mark;
static int folder = -1;
static int listener = -1;
static struct sockaddr_in peer;

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(99);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

// Of what it starts, too: the time others take from us on a busy machine is not in it.
static uint64_t cpu_time(void)
{
    uint64_t sum = 0;
    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
        struct rusage use;
        getrusage(who, &use);
        sum += (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000000ull;
        sum += (use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000ull;
    }
    return sum;
}

static void do_getppid(uint64_t index)
{
    (void)index;
    syscall(SYS_getppid);
}

static void open_close(int directory, const char *path, int flags)
{
    int file = openat(directory, path, flags, 0600);
    if (file < 0)
        die(path);
    close(file);
}

static void do_read(uint64_t index)
{
    (void)index;
    open_close(AT_FDCWD, argument, O_RDONLY);
}

static void do_write(uint64_t index)
{
    (void)index;
    open_close(AT_FDCWD, argument, O_WRONLY);
}

// Another file each time; `make` has made them.
static void do_writes(uint64_t index)
{
    char name[24];
    sprintf(name, "%llu", (unsigned long long)index);
    open_close(folder, name, O_WRONLY);
}

static void do_make(uint64_t index)
{
    char name[24];
    sprintf(name, "%llu", (unsigned long long)index);
    open_close(folder, name, O_WRONLY | O_CREAT);
}

static void do_create(uint64_t index)
{
    (void)index;
    open_close(AT_FDCWD, argument, O_WRONLY | O_CREAT | O_EXCL);
    if (unlink(argument))
        die("unlink");
}

// ARGUMENT is the program, MARK, if given, its only argument.
static void do_exec(uint64_t index)
{
    (void)index;
    char *arguments[] = {(char *)argument, (char *)mark, NULL};
    char *environment[] = {NULL};
    pid_t child;
    int status;
    errno = posix_spawn(&child, argument, NULL, NULL, arguments, environment);
    if (errno)
        die("spawn");
    if (waitpid(child, &status, 0) != child || status != 0)
        die("wait");
}

static void do_connect(uint64_t index)
{
    (void)index;
    // Closed with a reset: a million connections in TIME_WAIT would use up the ports.
    static const struct linger reset = {.l_onoff = 1};
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&peer, sizeof(peer)))
        die("connect");
    setsockopt(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(connection);
    // A reset one stays in the listener's queue until it is accepted.
    close(accept(listener, NULL, NULL));
}

static void listen_loopback(void)
{
    socklen_t size = sizeof(peer);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    peer.sin_family = AF_INET;
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&peer, sizeof(peer)) || listen(listener, 16) ||
        getsockname(listener, (struct sockaddr *)&peer, &size))
        die("listen");
}

static void wait_until(uint64_t moment)
{
    struct timespec time = {.tv_sec = moment / 1000000000, .tv_nsec = moment % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static const struct {
    const char *name;
    void (*once)(uint64_t index);
} kinds[] = {
    {"getppid", do_getppid}, {"read", do_read},     {"write", do_write}, {"writes", do_writes},
    {"make", do_make},       {"create", do_create}, {"exec", do_exec},   {"connect", do_connect},
};

int main(int count, char **arguments)
{
    uint64_t rate = 0, seconds = 0;
    for (int option; (option = getopt(count, arguments, "+c:r:s:")) != -1;) {
        if (option == 'c') {
            cpu_set_t cores;
            CPU_ZERO(&cores);
            CPU_SET(atoi(optarg), &cores);
            if (sched_setaffinity(0, sizeof(cores), &cores))
                die("sched_setaffinity");
        } else if (option == 'r') {
            rate = strtoull(optarg, NULL, 10);
        } else if (option == 's') {
            seconds = strtoull(optarg, NULL, 10);
        } else {
            return 2;
        }
    }
    if (count < optind + 2)
        return 2;
    const char *kind = arguments[optind];
    uint64_t wanted = strtoull(arguments[optind + 1], NULL, 10);
    argument = arguments[optind + 2];
    mark = argument ? arguments[optind + 3] : NULL;
    void (*once)(uint64_t) = NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (!strcmp(kinds[i].name, kind))
            once = kinds[i].once;
    if (!once || (!wanted && !seconds))
        return 2;
    if (once == do_writes || once == do_make) {
        folder = open(argument ? argument : "", O_PATH | O_DIRECTORY);
        if (folder < 0)
            die("folder");
    }
    if (once == do_connect)
        listen_loopback();

    uint64_t begin = now(), done = 0;
    while (!wanted || done < wanted) {
        // Looking at the clock each time would be a fifth of a getppid.
        if (seconds && (rate || done % 64 == 0) && now() - begin >= seconds * 1000000000)
            break;
        once(done++);
        if (rate)
            wait_until(begin + done * 1000000000 / rate);
    }
    printf("{\"operations\":%llu,\"ns\":%llu,\"cpu\":%llu}\n", (unsigned long long)done,
           (unsigned long long)(now() - begin), (unsigned long long)cpu_time());
    return 0;
}
