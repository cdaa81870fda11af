/* Loads every program of an object by itself and prints one JSON line each: what the verifier
 * walked, or the end of what it said. The verifier's log tells the number on every kernel,
 * bpf_prog_info only from 5.16 on. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest log that kernels before 6.4 take; later ones keep the end of a longer one. */
static char log_text[(1 << 24) - 1];
static const size_t tail_bytes = 3000;

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)level;
    (void)format;
    (void)arguments;
    return 0;
}

static int load_one(const char *path, const char *name, int log_level)
{
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    if (!object)
        return -1;
    struct bpf_program *program;
    bpf_object__for_each_program(program, object)
    {
        bool wanted = strcmp(bpf_program__name(program), name) == 0;
        bpf_program__set_autoload(program, wanted);
        if (!wanted)
            continue;
        log_text[0] = '\0';
        bpf_program__set_log_buf(program, log_text, sizeof(log_text));
        bpf_program__set_log_level(program, log_level);
    }
    int error = bpf_object__load(object);
    bpf_object__close(object);
    return error;
}

static void print_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        unsigned char byte = *text;
        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte < 0x20 || byte > 0x7e)
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: verify OBJECT\n");
        return 2;
    }
    libbpf_set_print(quiet);
    struct bpf_object *object = bpf_object__open_file(argv[1], NULL);
    if (!object) {
        perror(argv[1]);
        return 1;
    }
    const int statistics = 4, everything = 5; /* BPF_LOG_STATS, with BPF_LOG_LEVEL1 */
    struct bpf_program *program;
    bpf_object__for_each_program(program, object)
    {
        const char *name = bpf_program__name(program);
        int error = load_one(argv[1], name, statistics);
        if (error)
            load_one(argv[1], name, everything);
        const char *processed = strstr(log_text, "processed ");
        printf("{\"program\":\"%s\",\"instructions\":%ld,\"error\":%d", name,
               !error && processed ? atol(processed + 10) : 0, error);
        if (error) {
            size_t length = strlen(log_text);
            printf(",\"log\":");
            print_string(log_text + (length > tail_bytes ? length - tail_bytes : 0));
        }
        printf("}\n");
    }
    bpf_object__close(object);
    return 0;
}
