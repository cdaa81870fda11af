{
  "targets": [
    {
      "target_name": "bpf_object",
      "type": "none",
      "actions": [
        {
          "action_name": "compile_bpf",
          "inputs": ["<!@(ls bpf/*.c bpf/*.h)"],
          "outputs": ["<(PRODUCT_DIR)/picket.bpf.o"],
          "action": [
            "clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g",
            "-D__TARGET_ARCH_<!(node -p \"process.arch==='arm64'?'arm64':'x86'\")",
            "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
            "-c", "bpf/picket.bpf.c", "-o", "<(PRODUCT_DIR)/picket.bpf.o"
          ]
        },
        {
          "action_name": "compile_refuse",
          "inputs": ["<!@(ls bpf/*.c bpf/*.h)"],
          "outputs": ["<(PRODUCT_DIR)/refuse.bpf.o"],
          "action": [
            "clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g",
            "-D__TARGET_ARCH_<!(node -p \"process.arch==='arm64'?'arm64':'x86'\")",
            "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
            "-c", "bpf/refuse.bpf.c", "-o", "<(PRODUCT_DIR)/refuse.bpf.o"
          ]
        }
      ]
    },
    {
      "target_name": "picket",
      "dependencies": ["bpf_object"],
      "sources": ["native/addon.cc", "native/ring.cc", "native/kernel.cc", "native/integrity.cc", "native/library.cc", "native/refuser.cc", "native/refuser-addon.cc", "native/process.cc", "native/confine.cc", "native/tracepoint.cc"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-Wall", "-Wextra", "-fvisibility=hidden"],
      # Debian's libbpf.a is built for executables: as part of a shared object its names must bind to itself
      # (-Bsymbolic, not exported), and its one reference to another library's data, stderr, to a variable of
      # ours (native/library.cc).
      "ldflags": ["-Wl,-Bsymbolic", "-Wl,--exclude-libs,ALL", "-Wl,--wrap=stderr"],
      "libraries": ["-l:libbpf.a", "-lelf", "-lz"]
    },
    {
      "target_name": "picket-launch",
      "type": "executable",
      "sources": ["native/launch.cc", "native/confine.cc"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-Wall", "-Wextra"]
    }
  ]
}
