#!/bin/sh
# Undoes what Picket has in force with nothing but the system's own tools: works with the sensor and Node dead.
# As `picket-release` it undoes everything; with `keep` it stays behind a dead sensor and ends what is due.
# What is in force stands in the ledger, see agent/respond/ledger-file.ts.
set -u
export LC_ALL=C PATH="${PATH:-}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"

usage() {
	cat <<-'END'
		usage: picket-release [--state-dir DIR] [--switch FILE] [--bpffs DIR] [--docker-socket PATH]
		       picket-release keep [--state-dir DIR] [--docker-socket PATH] [--leave-cgroup]
		Undoes everything that Picket has in force: firewall, kernel programs, paused, stopped and disconnected
		containers. May be run again. Exit status 1: something stayed.
	END
}

mode=all state=/var/lib/picket bpffs=/sys/fs/bpf/picket switch=/etc/picket/disable-enforcement leave=no
while [ $# -gt 0 ]; do
	case $1 in
	keep) mode=keep ;;
	--all) ;;
	--leave-cgroup) leave=yes ;;
	--state-dir | --switch | --bpffs | --docker-socket)
		[ $# -gt 1 ] || { usage >&2; exit 2; }
		case $1 in
		--state-dir) state=$2 ;;
		--switch) switch=$2 ;;
		--bpffs) bpffs=$2 ;;
		--docker-socket) export DOCKER_HOST="unix://$2" ;;
		esac
		shift
		;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
ledger=$state/responses.ledger audit=$state/audit.jsonl left=0

have() { command -v "$1" >/dev/null 2>&1; }
bounded() { if have timeout; then timeout 10 "$@"; else "$@"; fi; }
say() { printf 'picket-release: %s\n' "$*"; }
stayed() { # stayed WHAT REMEDY
	say "$1" >&2
	say "what to do: $2" >&2
	left=1
}
did() { # did KIND TARGET OUTCOME WHAT
	say "$4"
	note "$@"
}

# --- audit and ledger ---

# Goes on with the audit's hash chain; without sha256sum the chain cannot be continued and stays as it is.
note() { # note KIND TARGET OUTCOME WHAT
	[ -w "$audit" ] && have sha256sum || return 0
	end_line "$audit"
	last=$(tail -n 50 "$audit" | grep '^{"number":[0-9]*,.*,"hash":"[0-9a-f]\{64\}"}$' | tail -n 1)
	number=$(printf %s "$last" | sed 's/^{"number":\([0-9]*\),.*/\1/')
	hash=$(printf %s "$last" | sed 's/.*,"hash":"\([0-9a-f]*\)"}$/\1/')
	[ -n "$last" ] || hash=$(printf '%064d' 0)
	body=$(printf '{"number":%d,"time":"%s","previous":"%s","stage":"note","requester":"picket-release","kind":"%s","target":"%s","outcome":"%s","message":"%s"}' \
		"$((${number:-0} + 1))" "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)" "$hash" \
		"$(plain "$1")" "$(plain "$2")" "$(plain "$3")" "$(plain "$4")")
	hash=$(printf %s "$body" | sha256sum | cut -c1-64)
	printf '%s,"hash":"%s"}\n' "${body%\}}" "$hash" >>"$audit"
	sync "$audit" 2>/dev/null || :
}

# What JSON takes as it stands: without quotes, backslashes and control characters.
plain() { printf %s "$1" | tr -cd ' !#-[]-~'; }

# A crash may have torn the last line; what is appended must not become a part of it.
end_line() {
	[ -s "$1" ] && [ -n "$(tail -c 1 "$1")" ] && echo >>"$1"
	:
}

# Prints "KIND EXPIRES TARGET NETWORKS" of each entry of these kinds. Blocks and pauses end with their boot.
entries() { # entries KIND…
	[ -r "$ledger" ] || return 0
	awk -v kinds=" $* " -v boot="$(cat /proc/sys/kernel/random/boot_id)" '
		NR == 1 && ($1 != "picket-responses" || $2 != 2) { exit }
		NR == 1 { same = $3 == boot; next }
		$NF != "." || !index(kinds, " " $2 " ") { next }
		$1 == "+" && (same || $2 == "disconnect" || $2 == "stop") { entry[$2 " " $4] = $2 " " $3 " " $4 " " $5 }
		$1 == "-" { delete entry[$2 " " $3] }
		END { for (key in entry) print entry[key] }
	' "$ledger"
}

forget() { # forget KIND TARGET
	[ -w "$ledger" ] || return 0
	end_line "$ledger"
	printf '%s\n' "- $1 $2 ." >>"$ledger"
	sync "$ledger" 2>/dev/null || :
}

# --- the sensor ---

# Its pid alone may be another's by now; its start time is not. A zombie is dead.
sensor_lives() {
	[ -r "$state/sensor.pid" ] && read -r pid start <"$state/sensor.pid" && [ -r "/proc/$pid/stat" ] || return 1
	# The name may hold blanks and brackets; the last bracket ends it.
	# shellcheck disable=SC2046
	set -- $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null)
	[ $# -ge 20 ] && [ "$1" != Z ] && shift 19 && [ "$1" = "$start" ]
}

# --- containers ---

# The engine that knows the container: docker, podman, "none" when one answers and knows nothing, "down" when none does.
engine_of() { # engine_of ID
	answer=none
	for engine in docker podman; do
		have $engine || continue
		if said=$(bounded $engine inspect --type container --format '{{.Id}}' "$1" 2>&1 </dev/null); then
			echo $engine
			return
		fi
		case $said in *[Nn]o\ such*) ;; *) answer=down ;; esac
	done
	echo $answer
}

ask() { # ask ENGINE ID FORMAT
	bounded "$1" inspect --type container --format "$3" "$2" 2>/dev/null </dev/null
}

cgroups_of() { # cgroups_of ID: its directories in the hierarchies that can freeze
	awk '$3 == "cgroup2" || ($3 == "cgroup" && ("," $4 ",") ~ /,freezer,/) { print $2 }' /proc/mounts |
		while read -r mount; do find "$mount" -type d -name "*$1*" -prune -print 2>/dev/null; done
}

frozen() { # frozen DIRECTORY
	[ "$(cat "$1/cgroup.freeze" 2>/dev/null)" = 1 ] || case $(cat "$1/freezer.state" 2>/dev/null) in FR*) ;; *) false ;; esac
}

thaw() { # thaw ID: without the engine
	for directory in $(cgroups_of "$1"); do
		frozen "$directory" || continue
		echo 0 >"$directory/cgroup.freeze" 2>/dev/null || echo THAWED >"$directory/freezer.state" 2>/dev/null || :
		frozen "$directory" && return 1
		did resume "$1" VERIFIED "thawed $directory"
	done
	:
}

resume() { # resume ID
	engine=$(engine_of "$1")
	case $engine in
	docker | podman)
		if [ "$(ask "$engine" "$1" '{{.State.Paused}}')" = true ]; then
			bounded "$engine" unpause "$1" >/dev/null 2>&1 </dev/null
			[ "$(ask "$engine" "$1" '{{.State.Paused}}')" = false ] &&
				did resume "$1" VERIFIED "$engine unpause $1: it runs again"
		fi
		;;
	esac
	# A container that was frozen past its engine is not paused by its word.
	thaw "$1" || return 1
	case $engine in docker | podman) [ "$(ask "$engine" "$1" '{{.State.Paused}}')" != true ] ;; esac
}

start() { # start ID
	engine=$(engine_of "$1")
	[ "$engine" = none ] && return
	[ "$engine" = down ] && return 1
	[ "$(ask "$engine" "$1" '{{.State.Running}}')" = true ] && return
	bounded "$engine" start "$1" >/dev/null 2>&1 </dev/null
	[ "$(ask "$engine" "$1" '{{.State.Running}}')" = true ] && did start "$1" VERIFIED "$engine start $1: it runs again"
}

connected() { # connected ENGINE ID NETWORK
	ask "$1" "$2" '{{range $name, $network := .NetworkSettings.Networks}}{{$name}} {{$network.NetworkID}} {{end}}' |
		tr ' ' '\n' | grep -qxF -e "$3"
}

join_network() { # join_network ENGINE ID NETWORK|IPV4|IPV6|ALIAS…
	engine=$1 id=$2 rest=$3
	network=$(printf %b "${rest%%|*}") number=0
	connected "$engine" "$id" "$network" && return
	set --
	while case $rest in *\|*) ;; *) false ;; esac do
		rest=${rest#*|} number=$((number + 1))
		word=$(printf %b "${rest%%|*}")
		[ -n "$word" ] || continue
		case $number in 1) set -- "$@" --ip ;; 2) set -- "$@" --ip6 ;; *) set -- "$@" --alias ;; esac
		set -- "$@" "$word"
	done
	bounded "$engine" network connect "$@" "$network" "$id" >/dev/null 2>&1 </dev/null
	connected "$engine" "$id" "$network" &&
		did reconnect "$id" VERIFIED "$engine network connect $network: the container is on it again"
}

reconnect() { # reconnect ID NETWORKS
	engine_found=$(engine_of "$1") container=$1 networks=$2 failed=0
	[ "$engine_found" = none ] && return
	[ "$engine_found" = down ] && return 1
	while [ -n "$networks" ] && [ "$networks" != - ]; do
		join_network "$engine_found" "$container" "${networks%%,*}" || failed=1
		case $networks in *,*) networks=${networks#*,} ;; *) networks= ;; esac
	done
	return $failed
}

undo() { # undo KIND TARGET NETWORKS
	case $1 in
	pause) resume "$2" ;;
	stop) start "$2" ;;
	disconnect) reconnect "$2" "$3" ;;
	esac && forget "$1" "$2"
}

# --- everything ---

# From iptables-save to the lines for iptables-restore that rid every table of us.
deletions='
	/^\*/ { table = $0; jumps = flushes = removals = "" }
	/^:PICKET-/ { chain = substr($1, 2); flushes = flushes "-F " chain "\n"; removals = removals "-X " chain "\n" }
	/^-A / && !/^-A PICKET-/ && / -[jg] PICKET-/ { jumps = jumps "-D " substr($0, 4) "\n" }
	/^COMMIT/ && jumps flushes != "" { printf "%s\n%s%s%sCOMMIT\n", table, jumps, flushes, removals }
'

release_rules() { # release_rules IPTABLES
	# The sensor may be doing the same: look anew each time.
	for _ in 1 2 3; do
		lines=$("$1-save" 2>/dev/null | awk "$deletions")
		[ -n "$lines" ] || return 0
		printf '%s\n' "$lines" | "$1-restore" --noflush -w 5 2>/dev/null &&
			did release "$1" VERIFIED "$1: removed our chains and $(printf '%s\n' "$lines" | grep -c '^-D') jumps"
	done
	[ -z "$("$1-save" 2>/dev/null | grep PICKET-)" ]
}

# iptables-nft takes a table away only by flushing it: one that was made for us and that nobody else uses.
release_table() { # release_table IPTABLES
	"$1-save" 2>/dev/null | awk '
		/^\*/ { here = $0 == "*mangle" }
		here && /^:PICKET-MADE-TABLE / { made = 1 }
		here && /^:/ && !/^:PICKET-/ && $2 != "ACCEPT" { used = 1 }
		here && /^-A / && !/PICKET-/ { used = 1 }
		END { exit !made || used }
	' && printf '*mangle\nCOMMIT\n' | "$1-restore" -w 5 2>/dev/null && did release "$1" VERIFIED "$1: removed our table mangle"
}

release_firewall() {
	for tool in iptables iptables-nft iptables-legacy ip6tables ip6tables-nft ip6tables-legacy; do
		have "$tool-save" && have "$tool-restore" || continue
		release_table "$tool"
		release_rules "$tool" || stayed "$tool: rules of ours stayed" "see $tool-save | grep PICKET-"
	done
	have ipset || return 0
	for set in $(ipset list -n 2>/dev/null | grep -E '^picket([46]|-|$)'); do
		# nf_tables lets go of a set a moment after its last rule is gone.
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			ipset destroy "$set" 2>/dev/null && did release "$set" VERIFIED "ipset: destroyed $set" && continue 2
			ipset list -n 2>/dev/null | grep -qxF "$set" || continue 2
			sleep 0.2 2>/dev/null || sleep 1
		done
		stayed "the set $set stayed: something uses it" "see iptables-save | grep $set"
	done
}

release_programs() {
	[ -d "$bpffs" ] || return 0
	if rm -r "$bpffs" 2>/dev/null; then
		did release "$bpffs" VERIFIED "removed $bpffs: the kernel refuses nothing any more"
	else
		stayed "$bpffs stayed" "remove it as root: rm -r $bpffs"
	fi
}

release_containers() {
	while read -r kind _ target networks; do
		[ -n "$kind" ] || continue
		undo "$kind" "$target" "$networks" ||
			stayed "$kind of container $target could not be undone" "start the container engine and run this again"
	done <<-END
		$(entries pause disconnect stop)
	END
}

forget_rest() {
	entries block refuseEgress refuseExec | while read -r kind _ target _; do printf '%s\n' "- $kind $target ."; done >"$ledger.gone"
	[ -s "$ledger.gone" ] && end_line "$ledger" && cat "$ledger.gone" >>"$ledger"
	rm -f "$ledger.gone"
}

release_all() {
	[ "$(id -u)" = 0 ] || { stayed "only root may do this" "run it with sudo"; exit 1; }
	if sensor_lives; then
		mkdir -p "${switch%/*}" && : >"$switch" || stayed "$switch cannot be made" "stop the sensor first"
		say "the sensor is alive: made $switch, so that it does not begin anew"
		say "to enforce again: rm $switch"
	fi
	release_firewall
	release_programs
	release_containers
	[ $left = 1 ] || [ ! -w "$ledger" ] || forget_rest
	[ $left = 0 ] && say "nothing of Picket is in force"
	exit $left
}

# --- behind a dead sensor ---

# Here a service manager does not find it when it ends the sensor's cgroup.
leave_cgroup() {
	awk '$3 == "cgroup2" || ($3 == "cgroup" && ("," $4 ",") ~ /,name=systemd,/) { print $2 }' /proc/mounts |
		while read -r mount; do echo $$ 2>/dev/null >"$mount/cgroup.procs" || :; done
}

keep() {
	trap '' HUP
	cd / || exit 1
	[ $leave = yes ] && leave_cgroup 2>/dev/null
	# Without flock a second keeper does no harm: what is undone already is left alone.
	if have flock; then
		exec 9>>"$state/keeper.lock"
		# One that is about to end has not seen what was put into the ledger since.
		flock -w 15 9 || exit 0
	fi
	while :; do
		waiting=$(entries pause disconnect stop | awk '$2 > 0')
		[ -n "$waiting" ] || exit 0
		now=$(date +%s) pause=10 dead=no
		sensor_lives || dead=yes
		while read -r kind expires target networks; do
			due=$(((expires + 999) / 1000))
			if [ $dead = yes ] && { [ $due -le "$now" ] || [ -e "$switch" ]; }; then
				undo "$kind" "$target" "$networks" 9>&- && pause=0
			elif [ $((due - now)) -lt $pause ]; then
				# Overdue while the sensor lives: it is about to end it, or about to die.
				pause=$((due > now ? due - now : 1))
			fi
		done <<-END
			$waiting
		END
		sleep $pause 9>&-
	done
}

if [ $mode = keep ]; then keep >/dev/null 2>&1; else release_all; fi
