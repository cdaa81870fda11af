// Opens a file by a name of an uncommon form: form FORM DIRECTORY. Mounts are made in a mount
// namespace of its own. Prints what fstat() says of the opened file; ends with 77 where the kernel
// cannot mount such a file system.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char *folder;

static int must(int result)
{
    if (result >= 0)
        return result;
    perror("form");
    exit(errno == ENODEV ? 77 : 99);
}

// A name below the folder; good for the next few calls.
static const char *in(const char *name)
{
    static char names[8][4096];
    static unsigned next;
    char *to = names[next++ % 8];
    snprintf(to, sizeof(names[0]), "%s/%s", folder, name);
    return to;
}

static void make_file(const char *path)
{
    close(must(open(path, O_WRONLY | O_CREAT, 0644)));
}

static void own_mounts(void)
{
    must(unshare(CLONE_NEWNS));
    must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

static int over_overlay(const char *name)
{
    char options[8192];
    own_mounts();
    // Of its own, for not every file system can be the upper layer.
    must(mkdir(in("layers"), 0755));
    must(mount("tmpfs", in("layers"), "tmpfs", 0, NULL));
    const char *made[] = {"layers/lower", "layers/upper", "layers/work", "merged"};
    for (int i = 0; i < 4; i++)
        must(mkdir(in(made[i]), 0755));
    make_file(in("layers/lower/low"));
    make_file(in("layers/upper/up"));
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", in("layers/lower"),
             in("layers/upper"), in("layers/work"));
    must(mount("overlay", in("merged"), "overlay", 0, options));
    return open(in(name), O_RDONLY);
}

static int very_deep(void)
{
    char name[251];
    memset(name, 'd', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    int at = must(open(folder, O_PATH | O_DIRECTORY));
    for (int i = 0; i < 20; i++) {
        must(mkdirat(at, name, 0755));
        at = must(openat(at, name, O_PATH | O_DIRECTORY));
    }
    return openat(at, "end", O_RDONLY | O_CREAT, 0644);
}

static int open_form(const char *form)
{
    char name[64];
    if (!strcmp(form, "moved")) {
        must(mkdir(in("old"), 0755));
        must(mkdir(in("old/sub"), 0755));
        make_file(in("old/file"));
        must(chdir(in("old/sub")));
        must(rename(in("old"), in("new")));
        return open("../file", O_RDONLY);
    }
    if (!strcmp(form, "descriptor")) {
        make_file(in("file"));
        snprintf(name, sizeof(name), "/proc/self/fd/%d", must(open(in("file"), O_PATH)));
        return open(name, O_RDONLY);
    }
    if (!strcmp(form, "root")) {
        static char long_name[4096];
        make_file(in("file"));
        snprintf(long_name, sizeof(long_name), "/proc/self/root%s", in("file"));
        return open(long_name, O_RDONLY);
    }
    if (!strcmp(form, "bind")) {
        must(mkdir(in("here"), 0755));
        must(mkdir(in("there"), 0755));
        make_file(in("here/file"));
        own_mounts();
        must(mount(in("here"), in("there"), NULL, MS_BIND, NULL));
        return open(in("there/file"), O_RDONLY);
    }
    if (!strcmp(form, "namespace")) {
        own_mounts();
        must(mkdir(in("mounted"), 0755));
        must(mount("tmpfs", in("mounted"), "tmpfs", 0, NULL));
        make_file(in("mounted/file"));
        return open(in("mounted/file"), O_RDONLY);
    }
    if (!strcmp(form, "lower"))
        return over_overlay("merged/low");
    if (!strcmp(form, "upper"))
        return over_overlay("merged/up");
    if (!strcmp(form, "chroot") || !strcmp(form, "outside")) {
        make_file(in("file"));
        int outside = must(open(folder, O_PATH | O_DIRECTORY));
        must(mkdir(in("jail"), 0755));
        make_file(in("jail/file"));
        must(chroot(in("jail")));
        must(chdir("/"));
        return !strcmp(form, "chroot") ? open("/file", O_RDONLY)
                                       : openat(outside, "file", O_RDONLY);
    }
    if (!strcmp(form, "handle")) {
        union {
            struct file_handle handle;
            char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
        } file = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};
        int mount;
        make_file(in("file"));
        if (name_to_handle_at(AT_FDCWD, in("file"), &file.handle, &mount, 0) < 0)
            exit(errno == EOPNOTSUPP ? 77 : 99);
        return open_by_handle_at(must(open(folder, O_RDONLY)), &file.handle, O_RDWR);
    }
    if (!strcmp(form, "deep"))
        return very_deep();
    exit(98);
}

int main(int count, char **arguments)
{
    struct stat file;
    if (count < 3)
        return 98;
    folder = arguments[2];
    must(fstat(must(open_form(arguments[1])), &file));
    printf("{\"inode\":%lu,\"device\":%lu}\n", (unsigned long)file.st_ino,
           (unsigned long)major(file.st_dev) << 20 | minor(file.st_dev));
    return 0;
}
