#!/usr/bin/env python3
"""Writes src/seccomp/tables/{x86,arm}.rs: system call numbers by name, from the kernel's headers on this machine.

usage: crates/mini/tables/generate.py    (needs gcc, linux-libc-dev and linux-libc-dev-armhf-cross; run on x86-64)

Calls newer than the headers are added from the list below: since Linux 5.1 their numbers are the same everywhere.
"""
import pathlib
import re
import subprocess

NEWER = {
    "cachestat": 451, "fchmodat2": 452, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455,
    "futex_requeue": 456, "statmount": 457, "listmount": 458, "lsm_get_self_attr": 459, "lsm_set_self_attr": 460,
    "lsm_list_modules": 461, "mseal": 462, "setxattrat": 463, "getxattrat": 464, "listxattrat": 465,
    "removexattrat": 466, "open_tree_attr": 467, "file_getattr": 468, "file_setattr": 469,
}
X86_64_ONLY = {"uretprobe": 335, "uprobe": 336}
GENERIC = ["__BITS_PER_LONG=64", "__ARCH_WANT_NEW_STAT", "__ARCH_WANT_RENAMEAT", "__ARCH_WANT_SET_GET_RLIMIT",
           "__ARCH_WANT_SYS_CLONE3", "__ARCH_WANT_MEMFD_SECRET"]
# Calls that 32-bit ARM's kernel has beyond the table, from arch/arm/include/uapi/asm/unistd.h.
ARM_PRIVATE = {"breakpoint": 0xf0001, "cacheflush": 0xf0002, "usr26": 0xf0003, "usr32": 0xf0004, "set_tls": 0xf0005}
ARM_HEADERS = "/usr/arm-linux-gnueabihf/include"


def numbers(header, defines=(), headers=None):
    macros = subprocess.run(
        ["gcc", "-E", "-dM", *[f"-D{define}" for define in defines], *(["-isystem", headers] if headers else []),
         "-include", header, "-x", "c", "/dev/null"],
        check=True, capture_output=True, text=True).stdout
    values = dict(re.findall(r"#define (\w+) (.+)", macros))

    def resolve(text):
        text = text.strip().strip("()")
        total = 0
        for part in text.split("+"):
            part = part.strip()
            total += int(part, 0) if re.fullmatch(r"\d+|0x[0-9a-fA-F]+", part) else resolve(values[part])
        return total

    skip = {"syscalls", "arch_specific_syscall", "OABI_SYSCALL_BASE", "SYSCALL_BASE", "SYSCALL_MASK"}
    return {name[5:]: resolve(text) for name, text in values.items()
            if name.startswith("__NR_") and name[5:] not in skip}


# 32-bit ARM's own calls, in 16 bits.
PRIVATE = 0xf000


def write(family, title, tables):
    """A row for each name: where it stands in the text, how long it is, and its number in each architecture."""
    out = pathlib.Path(__file__).parent.parent / "src/seccomp/tables" / f"{family}.rs"
    names = sorted(set().union(*tables))
    text, rows = "", []
    for name in names:
        numbers = [table.get(name, 0xffff) for table in tables]
        numbers = [PRIVATE | number & 0xf if number >= 0xf0000 else number for number in numbers]
        rows.append(f"    Row::new({len(text)}, {len(name)}, [{', '.join(str(number) for number in numbers)}]),")
        text += name
    lines = [f"//! System calls of {title}. Written by `crates/mini/tables/generate.py`.", "",
             "use super::{Row, Table};", "",
             "#[rustfmt::skip]",
             f"pub(in crate::seccomp) static TABLE: Table<{len(tables)}> = Table {{ names: NAMES, rows: &ROWS }};", "",
             "const NAMES: &str = \"\\"]
    lines += [text[at:at + 110] + "\\" for at in range(0, len(text), 110)]
    lines += ["\";", "", "#[rustfmt::skip]", f"static ROWS: [Row<{len(tables)}>; {len(rows)}] = [", *rows, "];", ""]
    out.write_text("\n".join(lines))


x32_bit = 0x40000000
x32 = numbers("asm/unistd_x32.h", ["__X32_SYSCALL_BIT=0x40000000"])
write("x86", "x86-64, 32-bit x86, and x32 without its bit 30", [
    numbers("asm/unistd_64.h") | NEWER | X86_64_ONLY,
    numbers("asm/unistd_32.h") | NEWER,
    {name: number & ~x32_bit for name, number in x32.items()} | NEWER,
])
write("arm", "64-bit and 32-bit ARM (EABI)", [
    numbers("asm-generic/unistd.h", GENERIC) | NEWER,
    numbers("asm/unistd.h", ["__ARM_EABI__"], ARM_HEADERS) | NEWER | ARM_PRIVATE,
])
