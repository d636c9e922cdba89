"""How long `astbtd deadlock` stops a real Asterisk, compared with the gdb command of the Asterisk documentation.

For both, the same probe reads the state of the main thread of Asterisk several times per millisecond.
"""

import json
import sys

from tests.support.containers.deadlock_machine import DeadlockMachine

ROUNDS = 7

PROBE = """
import json, os, subprocess, sys, time

pid, rounds = sys.argv[1], int(sys.argv[2])
state = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
commands = {
    "gdb": ["gdb", "-ex", "thread apply all bt", "--batch", "/usr/sbin/asterisk", pid],
    "astbtd": ["astbtd", "deadlock", "--samples", "1", "--json"],
}

def stopped(command):
    # Sum of the times from the first read in state stopped to the next in another state.
    total, since = 0.0, None
    with open(f"/tmp/{command[0]}", "w") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL)
        while True:
            ended = process.poll() is not None
            now = time.perf_counter()
            is_stopped = os.pread(state, 512, 0).rpartition(b")")[2].split()[0] in (b"t", b"T")
            if is_stopped and since is None:
                since = now
            elif not is_stopped and since is not None:
                total, since = total + now - since, None
            if ended:
                return total
            time.sleep(0.0002)

measured = {name: [] for name in commands}
for _ in range(rounds):
    for name, command in commands.items():
        measured[name].append(stopped(command))
threads = len(os.listdir(f"/proc/{pid}/task"))
print(json.dumps({"threads": threads, **measured}))
"""


def main() -> None:
    """Boot a container, measure, and print the result."""
    with DeadlockMachine.booted() as machine:
        pid = machine.asterisk.main_pid()
        measured = json.loads(machine.container.run("python3", "-c", PROBE, str(pid), str(ROUNDS), timeout=600).stdout)
        machine.check_asterisk_runs(pid)
    gdb, ours = sorted(measured["gdb"]), sorted(measured["astbtd"])
    sys.stdout.write(f"Asterisk with {measured['threads']} threads, {ROUNDS} rounds of each\n")
    for name, times in (("gdb", gdb), ("astbtd", ours)):
        shown = f"min {times[0] * 1000:.0f} ms, median {_median(times) * 1000:.0f} ms, max {times[-1] * 1000:.0f} ms"
        sys.stdout.write(f"{name:<8} stopped it: {shown}\n")
    sys.stdout.write(f"ratio of the medians: {_median(ours) / _median(gdb):.3f}\n")


def _median(times: list[float]) -> float:
    return times[len(times) // 2]


if __name__ == "__main__":
    main()
