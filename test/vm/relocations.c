/* Resolves an object's CO-RE relocations against the type information in a file, and says what
 * libbpf says of each. They are all resolved before the first program goes to this machine's
 * kernel, which may well refuse what was made for another: whether it does is no matter here. */
#include <bpf/libbpf.h>
#include <stdio.h>

static int say(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)level;
    return vprintf(format, arguments);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: relocations OBJECT BTF\n");
        return 2;
    }
    libbpf_set_print(say);
    LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = argv[2]);
    struct bpf_object *object = bpf_object__open_file(argv[1], &options);
    if (!object) {
        perror(argv[1]);
        return 1;
    }
    bpf_object__load(object);
    bpf_object__close(object);
    return 0;
}
