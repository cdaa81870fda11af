// Tries to slip past what the kernel remembers of files: does one thing after the other in one
// process, each given as a word, and prints its process id first.
//
//   open:PATH write:PATH rename:FROM:TO link:FROM:TO unlink:PATH mkdir:PATH rmdir:PATH make:PATH
//   bind:FROM:TO umount:PATH unshare: chroot:PATH setuid:NUMBER exec: wait:MS times:N (repeats the
//   next word) thread:PATH (opens in a thread of its own)
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void check(long result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "slip: %s: %s\n", what, strerror(errno));
    exit(99);
}

static void open_and_close(const char *path, int flags)
{
    const int file = syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
    check(file, path);
    close(file);
}

static void *open_in_thread(void *path)
{
    open_and_close(path, O_RDONLY);
    return NULL;
}

static void act(const char *verb, char *first, char *second)
{
    if (!strcmp(verb, "open")) {
        open_and_close(first, O_RDONLY);
    } else if (!strcmp(verb, "write")) {
        open_and_close(first, O_WRONLY);
    } else if (!strcmp(verb, "make")) {
        open_and_close(first, O_WRONLY | O_CREAT);
    } else if (!strcmp(verb, "rename")) {
        check(rename(first, second), verb);
    } else if (!strcmp(verb, "link")) {
        check(link(first, second), verb);
    } else if (!strcmp(verb, "unlink")) {
        check(unlink(first), verb);
    } else if (!strcmp(verb, "mkdir")) {
        check(mkdir(first, 0700), verb);
    } else if (!strcmp(verb, "rmdir")) {
        check(rmdir(first), verb);
    } else if (!strcmp(verb, "unshare")) {
        check(unshare(CLONE_NEWNS), verb);
        check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), verb);
    } else if (!strcmp(verb, "bind")) {
        check(mount(first, second, NULL, MS_BIND, NULL), verb);
    } else if (!strcmp(verb, "umount")) {
        check(umount2(first, MNT_DETACH), verb);
    } else if (!strcmp(verb, "chroot")) {
        check(chroot(first), verb);
        check(chdir("/"), verb);
    } else if (!strcmp(verb, "setuid")) {
        check(setresuid(-1, atoi(first), -1), verb);
    } else if (!strcmp(verb, "wait")) {
        usleep(atoi(first) * 1000);
    } else if (!strcmp(verb, "thread")) {
        pthread_t thread;
        pthread_create(&thread, NULL, open_in_thread, first);
        pthread_join(thread, NULL);
    } else {
        fprintf(stderr, "slip: what is %s?\n", verb);
        exit(99);
    }
}

int main(int count, char **words)
{
    printf("{\"pid\":%d}\n", getpid());
    fflush(stdout);
    int times = 1;
    for (int i = 1; i < count; i++) {
        char *verb = words[i], *first = strchr(verb, ':'), *second = NULL;
        if (first)
            *first++ = 0;
        if (!strcmp(verb, "exec")) {
            words[i] = words[0];
            execv("/proc/self/exe", words + i);
            check(-1, verb);
        }
        if (!strcmp(verb, "times")) {
            times = atoi(first);
            continue;
        }
        if (first && (second = strchr(first, ':')))
            *second++ = 0;
        for (; times > 0; times--)
            act(verb, first, second);
        times = 1;
    }
    return 0;
}
