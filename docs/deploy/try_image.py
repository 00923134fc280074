"""Do the steps of a Dockerfile of this folder in a clean Debian, without Docker: a root of debootstrap's, and chroot.

    sudo python3 docs/deploy/try_image.py docs/deploy/Dockerfile.cpu /var/tmp/root

It understands the instructions that are used here: FROM (a Debian release; Python is Debian's own), RUN, COPY of this
repository, USER, WORKDIR and ENTRYPOINT, and ends with `hamba doctor` and a run of the shipped clip, as the image's
user. The root needs 4 GB, or 9 with CUDA; remove it afterwards.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LINKED = ("etc/resolv.conf", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
"""Files of this machine without which nothing can be fetched."""


def main() -> None:
    """Do all steps, and say how long each took."""
    dockerfile, root = Path(sys.argv[1]), Path(sys.argv[2])
    text = re.sub(r"\\\n", " ", dockerfile.read_text())
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    user, folder, command = "root", "/", "hamba"
    for instruction, rest in steps:
        start = time.monotonic()
        if instruction == "FROM":
            make_root(root, rest.rpartition("-")[2])
        elif instruction == "COPY":
            copy_repository(root / rest.split()[1].lstrip("/"))
        elif instruction == "RUN":
            run(root, rest, user, folder)
        elif instruction == "USER":
            user = rest
        elif instruction == "WORKDIR":
            folder = rest
        elif instruction == "ENTRYPOINT":
            command = rest.strip('[]"')
        else:
            sys.exit(f"{dockerfile}: expected one of the instructions that are known here, found {instruction}")
        say(f"{time.monotonic() - start:5.0f} s  {instruction} {rest[:90]}")
    start = time.monotonic()
    run(root, f"{command} doctor", user, folder)
    clip = "/opt/hamba-stream/stages/assets/two_hands.mp4"
    run(root, f"{command} run {clip} --to 1 --out {folder}/try --export glb", user, folder)
    say(f"{time.monotonic() - start:5.0f} s  {command} doctor, {command} run, as {user}")


def make_root(root: Path, release: str) -> None:
    """Make a minimal Debian with Python, as the image that the Dockerfile begins with has it."""
    if not (root / "usr").exists():
        packages = "python3,python3-pip,python3-venv,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={packages}", release, str(root)], check=True)
    for name in LINKED:
        if Path("/", name).exists():
            (root / name).unlink(missing_ok=True)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/", name), root / name)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")  # as a container has it
    # Python's own image lets pip install into the system; Debian's does not. An environment that comes first in PATH
    # is the same to what follows.
    run(root, "python3 -m venv /usr/local/python", "root", "/")


def copy_repository(target: Path) -> None:
    """Copy what is committed."""
    target.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "-C", str(REPOSITORY), "archive", "HEAD"], check=True, capture_output=True)
    subprocess.run(["tar", "x", "-C", str(target)], input=archive.stdout, check=True)


def run(root: Path, command: str, user: str, folder: str) -> None:
    """Run a command in the root, as this user, in this folder. Ends the program where it fails."""
    (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or "proxy" in name.lower()}
    paths = {
        "PATH": "/usr/local/python/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": f"/home/{user}",
        "LC_ALL": "C.UTF-8",
    }
    # A mount of its own for /proc goes with the process.
    mounted = ["unshare", "--mount", "sh", "-ec", 'mount -t proc proc "$1/proc"; shift; exec "$@"', "sh", str(root)]
    inside = [*mounted, "chroot", f"--userspec={user}", str(root), "/bin/sh", "-ec", f"cd {folder}; {command}"]
    done = subprocess.run(inside, env=kept | paths, check=False)
    if done.returncode:
        sys.exit(f"expected this step to succeed, found exit status {done.returncode}: {command}")


def say(words: str) -> None:
    """Say how far it is."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
