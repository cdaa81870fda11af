// Acts that rules about system calls are written for and that no ordinary program does by itself,
// each with one that is close to it and harmless. Static, so that it runs in a container too. On
// itself and its own child alone.
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void trace(const char *how)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (!strcmp(how, "traceme"))
            ptrace(PTRACE_TRACEME, 0, 0, 0);
        else
            pause();
        _exit(0);
    }
    if (!strcmp(how, "attach")) {
        if (ptrace(PTRACE_ATTACH, child, 0, 0))
            err(99, "attach");
        waitpid(child, &status, 0);
        kill(child, SIGKILL);
    }
    waitpid(child, &status, 0);
}

// Standard input becomes a socket: one that is connected, or one of a pair.
static void redirect(const char *how)
{
    int fd, pair[2];
    if (!strcmp(how, "pair")) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
            err(99, "socketpair");
        fd = pair[0];
    } else {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(at);
        int server = socket(AF_INET, SOCK_STREAM, 0);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(server, (struct sockaddr *)&at, size) || listen(server, 1) ||
            getsockname(server, (struct sockaddr *)&at, &size) ||
            connect(fd, (struct sockaddr *)&at, size))
            err(99, "connect");
    }
    if (dup2(fd, 0) < 0)
        err(99, "dup2");
}

int main(int count, char **arguments)
{
    const char *act = count > 1 ? arguments[1] : "";
    if (!strcmp(act, "attach") || !strcmp(act, "traceme"))
        trace(act);
    else if (!strcmp(act, "connected") || !strcmp(act, "pair"))
        redirect(act);
    else if (!strcmp(act, "packet"))
        socket(AF_PACKET, SOCK_RAW, 0);
    else if (!strcmp(act, "raw"))
        socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    else
        errx(99, "usage: rule attach|traceme|connected|pair|packet|raw");
    return 0;
}
