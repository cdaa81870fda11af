// Connects the way a process does that wants no witness: with rubbish above the length, and with an
// address or a descriptor that another thread changes while the call waits. Prints its pid.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int listener, client;
static const char *act;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static int must(int result)
{
    if (result >= 0)
        return result;
    perror("evade");
    exit(99);
}

// An address at the very end of readable memory, so that reading too much reads nothing at all.
static void long_length(int port)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(munmap(pages + 4096, 4096));
    struct sockaddr_in *to = (struct sockaddr_in *)(pages + 4096 - sizeof(*to));
    to->sin_family = AF_INET;
    to->sin_port = htons(port);
    to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    must(syscall(SYS_connect, fd, to, 0x7700000000UL | sizeof(*to)));
}

// The other one waits in connect() for room in the queue of a listener that takes one.
static void *meddle(void *unused)
{
    usleep(100000);
    if (strcmp(act, "family"))
        must(dup2(must(open("/dev/null", O_RDONLY)), client));
    if (strcmp(act, "descriptor"))
        address.sun_family = AF_UNSPEC;
    must(accept(listener, NULL, NULL));
    return unused;
}

int main(int count, char **arguments)
{
    act = count > 1 ? arguments[1] : "";
    if (!strcmp(act, "length") && count > 2) {
        long_length(atoi(arguments[2]));
    } else {
        int size = offsetof(struct sockaddr_un, sun_path) + 1 +
                   snprintf(address.sun_path + 1, 64, "picket-evade-%d", getpid());
        const struct sockaddr_un to = address;
        listener = must(socket(AF_UNIX, SOCK_STREAM, 0));
        must(bind(listener, (const struct sockaddr *)&to, size));
        must(listen(listener, 0));
        must(connect(must(socket(AF_UNIX, SOCK_STREAM, 0)), (const struct sockaddr *)&to, size));
        client = must(socket(AF_UNIX, SOCK_STREAM, 0));
        pthread_t thread;
        must(-pthread_create(&thread, NULL, meddle, NULL));
        must(connect(client, (struct sockaddr *)&address, size));
        pthread_join(thread, NULL);
    }
    printf("{\"pid\":%d}\n", getpid());
    return 0;
}
