// Acts on sockets, and says as one JSON object a line what the kernel answered. Static, so that it
// does nothing else with sockets.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
    socklen_t size;
};

static void die(const char *what)
{
    fprintf(stderr, "socket: %s: %s\n", what, strerror(errno));
    exit(99);
}

static long answer(long result)
{
    return result < 0 ? -errno : result;
}

// An IPv4 or IPv6 address, a path, or @ and an abstract name.
static struct address address_of(const char *text, int port)
{
    struct address to = {0};
    if (inet_pton(AF_INET, text, &to.v4.sin_addr) == 1) {
        to.v4.sin_family = AF_INET;
        to.v4.sin_port = htons(port);
        to.size = sizeof(to.v4);
    } else if (inet_pton(AF_INET6, text, &to.v6.sin6_addr) == 1) {
        to.v6.sin6_family = AF_INET6;
        to.v6.sin6_port = htons(port);
        to.size = sizeof(to.v6);
    } else {
        to.local.sun_family = AF_UNIX;
        strncpy(to.local.sun_path, text, sizeof(to.local.sun_path) - 1);
        to.size = offsetof(struct sockaddr_un, sun_path) + strlen(text) + (text[0] != '@');
        if (text[0] == '@')
            to.local.sun_path[0] = 0;
    }
    return to;
}

static int port_of(int fd)
{
    struct address local = {.size = sizeof(struct sockaddr_in6)};
    getsockname(fd, &local.any, &local.size);
    return ntohs(local.v4.sin_port); // at the same place in both
}

static int open_socket(const struct address *address, int type)
{
    int fd = socket(address->any.sa_family, type, 0);
    if (fd < 0)
        die("socket");
    return fd;
}

// serve ADDRESS PEER-ADDRESS: binds, listens, is connected to from PEER-ADDRESS, accepts both ways.
static int act_serve(char **arguments)
{
    struct address at = address_of(arguments[0], 0);
    int fd = open_socket(&at, SOCK_STREAM | SOCK_NONBLOCK);
    long bound = answer(bind(fd, &at.any, at.size));
    long listening = answer(listen(fd, 7));
    int port = port_of(fd);
    long nobody = answer(accept(fd, NULL, NULL));
    struct address to = address_of(arguments[1], port);
    for (int i = 0; i < 2; i++) {
        int client = open_socket(&to, SOCK_STREAM);
        if (connect(client, &to.any, to.size))
            die("connect");
        long accepted = answer(i ? accept4(fd, NULL, NULL, SOCK_CLOEXEC) : accept(fd, NULL, NULL));
        printf("{\"pid\":%d,\"fd\":%d,\"bind\":%ld,\"listen\":%ld,\"nobody\":%ld,\"accept\":%ld,"
               "\"port\":%d,\"clientPort\":%d}\n",
               getpid(), fd, bound, listening, nobody, accepted, port, port_of(client));
    }
    return 0;
}

// fail ADDRESS PORT: a bind that is refused, an accept without listen, a listen without right.
static int act_fail(char **arguments)
{
    struct address at = address_of(arguments[0], atoi(arguments[1]));
    int fd = open_socket(&at, SOCK_STREAM);
    long bound = answer(bind(fd, &at.any, at.size));
    long accepted = answer(accept(fd, NULL, NULL));
    int datagram = open_socket(&at, SOCK_DGRAM);
    long listening = answer(listen(datagram, 3));
    printf("{\"pid\":%d,\"fd\":%d,\"datagram\":%d,\"bind\":%ld,\"accept\":%ld,\"listen\":%ld}\n",
           getpid(), fd, datagram, bound, accepted, listening);
    return 0;
}

// socket FAMILY TYPE PROTOCOL [uid]
static int act_socket(char **arguments)
{
    if (arguments[3] && setresuid(atoi(arguments[3]), atoi(arguments[3]), atoi(arguments[3])))
        die("setresuid");
    long result = answer(socket(strtol(arguments[0], NULL, 0), strtol(arguments[1], NULL, 0),
                                strtol(arguments[2], NULL, 0)));
    printf("{\"pid\":%d,\"result\":%ld}\n", getpid(), result);
    return 0;
}

// dup ADDRESS PORT: a connected socket, six ways onto standard input, and ways that lead elsewhere.
static int act_dup(char **arguments)
{
    struct address to = address_of(arguments[0], atoi(arguments[1]));
    int fd = open_socket(&to, SOCK_STREAM);
    if (connect(fd, &to.any, to.size))
        die("connect");
    printf("{\"pid\":%d,\"fd\":%d,\"port\":%d}\n", getpid(), fd, port_of(fd));
    fflush(stdout);
    dup(fd);            // not to the standard ones
    dup2(1, 0);         // not a socket
    fcntl(fd, F_GETFD); // answers 0
    dup2(1000, 0);      // fails
#ifdef SYS_dup2
    syscall(SYS_dup2, fd, 0);
    syscall(SYS_dup2, 0, 0); // changes nothing
#endif
    syscall(SYS_dup3, fd, 0, O_CLOEXEC);
    close(0);
    syscall(SYS_dup, fd);
    close(0);
    fcntl(fd, F_DUPFD, 0);
    close(0);
    fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return 0;
}

// send ADDRESS PORT PORT2: datagrams to the first port by sendto (twice), to the second by sendmsg,
// to the first by sendmmsg (twice), and one on a connected socket.
static int act_send(char **arguments)
{
    struct address first = address_of(arguments[0], atoi(arguments[1]));
    struct address second = address_of(arguments[0], atoi(arguments[2]));
    int fd = open_socket(&first, SOCK_DGRAM);
    struct iovec text = {.iov_base = "hello", .iov_len = 5};
    struct mmsghdr messages[3] = {0};
    for (int i = 0; i < 3; i++) {
        struct address *to = i ? &first : &second;
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &to->any, .msg_namelen = to->size, .msg_iov = &text, .msg_iovlen = 1};
    }
    long sent = 0;
    for (int i = 0; i < 2; i++)
        sent += sendto(fd, "hello", 5, 0, &first.any, first.size) == 5;
    int port = port_of(fd);
    sent += sendmsg(fd, &messages[0].msg_hdr, 0) == 5;
    long many = sendmmsg(fd, messages + 1, 2, 0);
    if (!connect(fd, &second.any, second.size))
        sent += send(fd, "hello", 5, 0) == 5;
    printf("{\"pid\":%d,\"sent\":%ld,\"port\":%d}\n", getpid(), sent + many, port);
    return 0;
}

static long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

// flood N [connected]: datagrams to a socket of our own on loopback. The time is that of the
// fastest 256, in which nobody else had the processor.
static int act_flood(char **arguments)
{
    struct address at = address_of("127.0.0.1", 0);
    int to = open_socket(&at, SOCK_DGRAM), fd = open_socket(&at, SOCK_DGRAM);
    if (bind(to, &at.any, at.size))
        die("bind");
    at.v4.sin_port = htons(port_of(to));
    if (arguments[1] && connect(fd, &at.any, at.size))
        die("connect");
    long count = atol(arguments[0]), best = 1000000000, begun = nanoseconds();
    char buffer[8];
    for (long i = 1; i <= count; i++) {
        if (sendto(fd, "hello", 5, 0, arguments[1] ? NULL : &at.any, at.size) != 5)
            die("sendto");
        if (recv(to, buffer, sizeof(buffer), 0) != 5)
            die("recv");
        if (i % 256)
            continue;
        long now = nanoseconds();
        if (now - begun < best)
            best = now - begun;
        begun = now;
    }
    printf("{\"pid\":%d,\"ns\":%ld}\n", getpid(), best / 256);
    return 0;
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = -1;
    if (unshare(CLONE_NEWNET) || (fd = socket(AF_INET, SOCK_DGRAM, 0)) < 0 ||
        ioctl(fd, SIOCSIFFLAGS, &request))
        die("a network of our own");
    close(fd);
}

// dns ADDRESS HOW BYTES QUESTION: in a network of its own, asks a name server at ADDRESS, which is
// a child and answers with the question made BYTES long. HOW: connected, unconnected, unasked (the
// answer comes without question), other (to port 54), translated-connected, translated-unconnected
// (the server is at port 5353, to which a rule translates, as Docker does for its own).
static int act_dns(char **arguments)
{
    const char *how = arguments[1], *question = arguments[3];
    int size = atoi(arguments[2]);
    char buffer[4096] = {0};
    loopback_up();
    bool translated = !strncmp(how, "translated-", 11);
    if (translated &&
        system("iptables -w -t nat -A OUTPUT -p udp --dport 53 -j REDIRECT --to-ports 5353"))
        die("iptables");
    how += translated ? 11 : 0;
    struct address at = address_of(arguments[0], strcmp(how, "other") ? 53 : 54);
    struct address behind = translated ? address_of(arguments[0], 5353) : at;
    int server = open_socket(&at, SOCK_DGRAM), fd = open_socket(&at, SOCK_DGRAM);
    if (bind(server, &behind.any, behind.size))
        die("bind");
    struct address own = address_of(arguments[0], 0);
    if (bind(fd, &own.any, own.size))
        die("bind");
    struct address client = {.size = sizeof(client.v6)};
    getsockname(fd, &client.any, &client.size);
    if (!strcmp(how, "connected") && connect(fd, &at.any, at.size))
        die("connect");
    pid_t child = fork();
    if (child == 0) {
        if (strcmp(how, "unasked") && recv(server, buffer, sizeof(buffer), 0) < 0)
            die("recv");
        strcpy(buffer, question);
        _exit(sendto(server, buffer, size, 0, &client.any, client.size) != size);
    }
    if (!strcmp(how, "connected"))
        send(fd, question, strlen(question), 0);
    else if (strcmp(how, "unasked"))
        sendto(fd, question, strlen(question), 0, &at.any, at.size);
    long got = recv(fd, buffer, sizeof(buffer), 0);
    waitpid(child, NULL, 0);
    printf("{\"pid\":%d,\"server\":%d,\"port\":%d,\"got\":%ld}\n", getpid(), child, port_of(fd),
           got);
    return 0;
}

int main(int count, char **arguments)
{
    const char *act = count > 1 ? arguments[1] : "";
    if (!strcmp(act, "serve") && count > 3)
        return act_serve(arguments + 2);
    if (!strcmp(act, "fail") && count > 3)
        return act_fail(arguments + 2);
    if (!strcmp(act, "socket") && count > 4)
        return act_socket(arguments + 2);
    if (!strcmp(act, "dup") && count > 3)
        return act_dup(arguments + 2);
    if (!strcmp(act, "send") && count > 4)
        return act_send(arguments + 2);
    if (!strcmp(act, "flood") && count > 2)
        return act_flood(arguments + 2);
    if (!strcmp(act, "dns") && count > 5)
        return act_dns(arguments + 2);
    fprintf(stderr, "usage: socket serve|fail|socket|dup|send|flood|dns …\n");
    return 98;
}
