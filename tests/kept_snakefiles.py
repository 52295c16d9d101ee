"""What Snakemake makes of the Snakefiles of this repository, kept for programs that run copies."""

from types import SimpleNamespace


def keep_snakefiles(repository):
    """Parse the Snakefiles once, and let Snakemake parse no file whose text is the same.

    Args:
        repository: the folder of the Snakefile and of its rules, which all have names.
    """
    from snakemake import workflow
    from snakemake.sourcecache import LocalSourceFile

    parse, known = workflow.parse, {}
    files = SimpleNamespace(
        sourcecache=SimpleNamespace(open=lambda file: open(file.path))  # noqa: SIM115
    )
    for path in (repository / "Snakefile", *(repository / "rules").glob("*.smk")):
        lines = {}
        code, rules = parse(LocalSourceFile(str(path)), files, lines)
        known[path.read_text()] = str(path), code, rules, lines

    def parse_what_is_new(file, caller, linemap, overwrite_shellcmd=None, rulecount=0):
        with caller.sourcecache.open(file) as opened:
            text = opened.read()
        if text not in known or overwrite_shellcmd:
            return parse(file, caller, linemap, overwrite_shellcmd, rulecount)
        path, code, rules, lines = known[text]
        linemap.update(lines)
        # The code of every rule says where the rule stands.
        here = file.get_path_or_uri(secret_free=True)
        return code.replace(f"snakefile={path!r}", f"snakefile={here!r}"), rulecount + rules

    workflow.parse = parse_what_is_new
