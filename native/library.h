// What every use of libbpf here shares: its words kept for the error, loading. Main thread only.
#pragma once

#include <bpf/libbpf.h>
#include <string>

namespace picket
{

struct Failure {
    std::string code; // see NativeError in index.d.ts; empty for success
    std::string message;
    std::string program;
    std::string log;
    int error = 0;

    explicit operator bool() const
    {
        return !code.empty();
    }
};

// Forgets what libbpf said before.
void log_begin();
// With what libbpf said since log_begin(). `code` as in NativeError of index.d.ts.
Failure failure(const char *code, int error, const std::string &what);
// Has the kernel verify and take the object's programs.
Failure load_object(bpf_object *object);

} // namespace picket
