"""Random little programs whose parts lean on each other."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

TARGETS = ["parts/a.py", "parts/b.py", "lib/deep/c.py", "d.py"]


@dataclass(frozen=True)
class Program:
    """`text` of main.py; `symbols` that may be extracted, with the targets chosen for some of them."""

    text: str
    placed: dict[str, str]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Constants, functions, classes, imports, decorators, globals and effects, each leaning on others at random.

    What a statement needs as it runs comes from above it; what a body needs may come from anywhere.
    """
    kinds = draw(
        st.lists(
            st.sampled_from(["const", "list", "func", "func", "class", "class", "counter", "effect", "decorated"]),
            min_size=2,
            max_size=8,
        )
    )
    names = [f"{kind[0].upper() if kind == 'class' else kind[0]}{i}" for i, kind in enumerate(kinds)]
    lines: list[str] = [
        "import math",
        draw(
            st.sampled_from(
                [
                    "from os import path as osp, sep",
                    "import os.path as osp\nfrom os import (\n    sep,  # the separator\n)",
                ]
            )
        ),
    ]
    if draw(st.booleans()):
        lines.insert(0, "from __future__ import annotations")
    if draw(st.booleans()):
        lines.insert(0, '"""A program."""')
    values = {n: k for n, k in zip(names, kinds, strict=True) if k != "effect"}
    shown: list[str] = []
    symbols: list[str] = []

    def earlier(i: int, *wanted: str) -> list[str]:
        return [n for n, k in list(zip(names, kinds, strict=True))[:i] if k in wanted]

    def pick(options: list[str], default: str) -> str:
        return draw(st.sampled_from([*options, default])) if options else default

    def later_call() -> str:
        name = draw(st.sampled_from([*values, "math.floor"])) if values else "math.floor"
        return {
            "const": f"{name}",
            "list": f"len({name})",
            "class": f"{name}().m(x - 1)",
            "func": f"{name}(x - 1)",
            "decorated": f"{name}(x - 1)",
            "counter": f"bump_{name}(x - 1)",
        }.get(values.get(name, ""), f"{name}(x)")

    for i, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        lines += draw(
            st.sampled_from(
                [[], [""], ["", ""], ["", f"# about {name}"], ["# " + "-" * 30, f"#  section {name}", "# " + "-" * 30]]
            )
        )
        indent = draw(st.sampled_from(["    ", "        ", "\t"]))
        constant = pick(earlier(i, "const"), str(draw(st.integers(0, 9))))
        body = f"({later_call()} + {later_call()} if x > 0 else {pick([n for n, k in values.items() if k == 'const'], '1')})"
        if kind == "const":
            call = pick(earlier(i, "func"), "")
            lines.append(f"{name} = {call}(0) + {constant}" if call else f"{name} = {constant} + 1")
            shown.append(name)
        elif kind == "list":
            lines.append(f"{name} = [{constant}]")
            if draw(st.booleans()):
                lines.append(f"{name}.append({pick(earlier(i, 'const'), '5')})")
            shown.append(f"len({name})")
        elif kind == "func":
            lines += [f"def {name}(x, y={constant}):", f"{indent}return y + {body} + len(sep) + math.floor(2.5)"]
            shown.append(f"{name}(2)")
        elif kind == "decorated":
            lines += [
                f"def wrap_{name}(f):",
                f"{indent}return lambda x: f(x) + 1",
                f"@wrap_{name}",
                f"def {name}(x): return {body}",
            ]
            shown.append(f"{name}(1)")
            symbols.append(f"wrap_{name}")
        elif kind == "class":
            base = pick(earlier(i, "class"), "object")
            lines += [
                f"class {name}({base}):",
                f'{indent}"""{name}."""',
                f"{indent}a = {constant}",
                f"{indent}def m(self, x) -> '{name}':",
                f"{indent}{indent}return self.a + {body} + len(osp.join('a', 'b'))",
            ]
            shown += [f"{name}().m(2)", f"[c.__name__ for c in {name}.__mro__]", f"{name}.__doc__"]
        elif kind == "counter":
            lines += [
                f"{name} = 0",
                f"def bump_{name}(x):",
                f"{indent}global {name}",
                f"{indent}{name} += 1",
                f"{indent}return {name}",
            ]
            shown.append(f"bump_{name}(0)")
            symbols.append(f"bump_{name}")
        else:
            lines.append(draw(st.sampled_from([f"osp.marker_{name} = 1", f"print('loading {name}', sep == osp.sep)"])))
            continue
        symbols.append(name)
    prints = [f"print({', '.join(shown[i : i + 3])})" for i in range(0, len(shown), 3)] or ["print('nothing')"]
    if draw(st.booleans()):
        lines += ["", "def main():", *(f"    {p}" for p in prints), "", "if __name__ == '__main__':", "    main()"]
    elif draw(st.booleans()):
        lines += ["", "if __name__ == '__main__':", *(f"    {p}" for p in prints)]
    else:
        lines += prints
    text = "\n".join(lines) + draw(st.sampled_from(["", "\n"]))
    text = text.replace("\n", draw(st.sampled_from(["\n", "\n", "\n", "\r\n"])))
    targets = draw(st.lists(st.sampled_from(TARGETS), min_size=1, max_size=3, unique=True))
    chosen = draw(st.lists(st.sampled_from(symbols), min_size=1, unique=True)) if symbols else []
    return Program(text, {s: draw(st.sampled_from(targets)) for s in chosen})
