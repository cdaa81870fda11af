#!/bin/sh
# Makes a checkout ready to run: packages, pinned Node runtime, addon and BPF object. Says what it installs and
# why; the second time it finds everything there and takes a second. `--test` adds what the tests need.
set -eu
cd "$(dirname "$0")/.."

tests=no
[ "${1:-}" = "--test" ] && tests=yes

say() { printf 'picket set-up: %s\n' "$*"; }
fail() {
	say "$1" >&2
	say "what to do: $2" >&2
	exit 1
}

[ "$(uname -s)" = Linux ] || fail "Picket runs on Linux only" "use a Linux host or virtual machine"
case "$(uname -m)" in
x86_64 | aarch64) ;;
*) fail "this processor ($(uname -m)) is not supported" "use x86_64 or arm64" ;;
esac

# What is missing, as "package:reason" words with dashes for spaces.
missing=""
need() { # need PACKAGE REASON TEST…
	package=$1
	reason=$2
	shift 2
	"$@" >/dev/null 2>&1 || missing="$missing $package:$(printf %s "$reason" | tr ' ' '-')"
}
have() { command -v "$1"; }
static_busybox() { test -x /bin/busybox && ! ldd /bin/busybox; }
# shellcheck disable=SC2144
archive() { ls /usr/lib/*/"$1" /usr/lib64/"$1" /usr/lib/"$1" 2>/dev/null | grep -q .; }

need clang "compiles the BPF programs" have clang
need g++ "compiles the addon" have g++
need make "builds the addon" have make
need python3 "node-gyp runs on it" python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))'
need libbpf-dev "loads BPF programs" archive libbpf.a
need libelf-dev "libbpf reads object files with it" test -e /usr/include/libelf.h
need zlib1g-dev "libelf needs it" test -e /usr/include/zlib.h
need iptables "blocks addresses" have iptables-restore
need ipset "holds the blocked addresses" have ipset
need iproute2 "looks at connections" have ip
if [ $tests = yes ]; then
	need docker.io "tests run a Docker engine of their own" have dockerd
	need busybox-static "what the tests' containers are made of" static_busybox
	need clang-format "checks the C sources" have clang-format
	need openssl "makes the tests' certificates" have openssl
	need conntrack "cuts connections of blocked addresses" have conntrack
	need python3-grpcio "what the example console is made of" /usr/bin/python3 -c 'import grpc'
	need python3-protobuf "its messages" /usr/bin/python3 -c 'import google.protobuf.json_format'
	need protobuf-compiler "generates its stubs" have protoc
	need protobuf-compiler-grpc "generates its service" have grpc_python_plugin
	need libprotobuf-dev "has the messages that ours import" test -e /usr/include/google/protobuf/timestamp.proto
	need procps "tests look at processes" have ps
	need cron "runs jobs on the tests' own machine" test -x /usr/sbin/cron
	need logrotate "turns logs on the tests' own machine" test -x /usr/sbin/logrotate
	need dropbear-bin "lets tests log in to a machine of their own" have dbclient
	need rsync "copies files to it" have rsync
	need rsyslog "receives what the sensor sends over syslog" test -x /usr/sbin/rsyslogd
	need rsyslog-gnutls "receives it over TLS" archive rsyslog/lmnsd_gtls.so
	need python3-prometheus-client "reads the page of metrics as Prometheus does" /usr/bin/python3 -c "import prometheus_client"
	need qemu-system-x86 "boots other kernels in virtual machines" have qemu-system-x86_64
	need g++-aarch64-linux-gnu "compiles the addon for arm64" have aarch64-linux-gnu-g++
fi

if [ -n "$missing" ]; then
	[ "$(id -u)" = 0 ] || fail "these packages are missing:$(printf ' %s' $missing | sed 's/:[^ ]*//g')" \
		"run it as root, or install them yourself"
	have apt-get >/dev/null || fail "there is no apt-get here to install:$(printf ' %s' $missing | sed 's/:[^ ]*//g')" \
		"install the like of them with your package manager and start again"
	packages=""
	for entry in $missing; do
		packages="$packages ${entry%%:*}"
		say "installing ${entry%%:*} ($(printf %s "${entry#*:}" | tr - ' '))"
	done
	# A freshly installed Docker engine must not start on this host and write to its firewall.
	guard=""
	mark="# left by picket's set-up: delete it"
	# Ours may be there still from a run that was killed; anybody else's stays.
	if [ ! -e /usr/sbin/policy-rc.d ] || grep -qxF "$mark" /usr/sbin/policy-rc.d; then
		guard=/usr/sbin/policy-rc.d
		trap 'rm -f "$guard"' EXIT
		# A signal must end us: apt-get would go on without the guard.
		trap 'exit 130' INT
		trap 'exit 143' TERM HUP
		printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$guard"
		chmod 755 "$guard"
	fi
	# From Debian 13 on the engine's client is a package of its own.
	with_client() {
		case "$packages" in *docker.io*) apt-cache show docker-cli >/dev/null 2>&1 && packages="$packages docker-cli" ;; esac
		true
	}
	log=$(mktemp)
	# shellcheck disable=SC2086
	if ! { apt-get update && with_client && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } \
		>"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		fail "apt-get could not install them (its last words are above)" "mend the package sources and start again"
	fi
	rm -f "$log"
	if [ -n "$guard" ]; then
		rm -f "$guard"
		trap - EXIT INT TERM HUP
	fi
fi

grep -qE 'LIBBPF_MAJOR_VERSION[[:space:]]+[1-9]' /usr/include/bpf/libbpf_version.h 2>/dev/null ||
	fail "the installed libbpf is older than 1.0" "build on Debian 12, Ubuntu 24.04 or newer"

stamp_of() { cat "$@" 2>/dev/null | sha256sum | cut -d' ' -f1; }

stamp=$(stamp_of package.json package-lock.json)
if [ "$(cat node_modules/.picket-stamp 2>/dev/null)" != "$stamp" ]; then
	say "installing the Node packages, the pinned Node runtime among them"
	log=$(mktemp)
	# No install scripts: everything we use runs as it comes. Not `npm ci`: it refuses a lock file that was made
	# where builds for other platforms (optional, never installed here) could not be seen; this honours the same lock.
	if ! npm install --no-save --ignore-scripts --no-audit --no-fund >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		fail "npm could not install them (its last words are above)" "look at the network and npm's configuration"
	fi
	rm -f "$log"
	printf %s "$stamp" >node_modules/.picket-stamp
fi
PATH="$PWD/node_modules/.bin:$PATH"

stamp=$(stamp_of package-lock.json binding.gyp bpf/*.c bpf/*.h native/*.cc native/*.h)
if [ ! -e build/Release/picket.node ] || [ "$(cat build/.picket-stamp 2>/dev/null)" != "$stamp" ]; then
	say "building the addon and the BPF programs"
	log=$(mktemp)
	# npm hands its own `nodedir` setting down in the environment, and node-gyp lets that win.
	if ! { npm_config_nodedir=$(node packaging/node-dir.mjs) && test -n "$npm_config_nodedir" && export npm_config_nodedir && node-gyp rebuild; } \
		>"$log" 2>&1 </dev/null; then
		grep -E 'error|Error' "$log" | head -n 20 >&2 || true
		tail -n 20 "$log" >&2
		rm -f "$log"
		fail "the build failed (see above)" "if a package is damaged: delete node_modules and build, start again"
	fi
	rm -f "$log"
	node bpf/generate-layout.ts
	printf %s "$stamp" >build/.picket-stamp
fi

# The sources' types are taken off once, not at every start.
stamp=$(git rev-parse HEAD 2>/dev/null)$(ls -lR --time-style=full-iso agent | sha256sum | cut -d' ' -f1)
if [ "$(cat build/.cache-stamp 2>/dev/null)" != "$stamp" ]; then
	rm -rf build/compile-cache
	node packaging/warm.mjs
	printf %s "$stamp" >build/.cache-stamp
fi

say "ready: Node $(node --version), $(clang --version | head -n 1), libbpf $(sed -n 's/.*LIBBPF_\(MAJOR\|MINOR\)_VERSION \([0-9]*\).*/\2/p' /usr/include/bpf/libbpf_version.h | paste -sd.)"
