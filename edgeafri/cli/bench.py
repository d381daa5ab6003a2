"""`edgeafri bench`: latency, load time and peak memory of a bundle, in a fresh process."""

from pathlib import Path

import click

from edgeafri.cli.options import bundle_argument, json_option, print_json, threads_option


@click.command("bench", epilog="Example: edgeafri bench BUNDLE --threads 1 --seq-len 128 --runs 50 --json")
@bundle_argument
@threads_option
@click.option("--seq-len", type=click.IntRange(3), default=128, show_default=True, help="Subwords per sentence.")
@click.option("--runs", type=click.IntRange(1), default=50, show_default=True, help="Timed sentences.")
@click.option(
    "--warmup", type=click.IntRange(0), default=5, show_default=True, help="Sentences before the clock starts."
)
@json_option
def bench_command(bundle: Path, threads: int | None, seq_len: int, runs: int, warmup: int, as_json: bool) -> None:
    """Time one sentence after another. Hashing is not in the load time; peak memory is that of a fresh process."""
    from edgeafri.api.bundles import load

    answer = load(bundle, threads=threads).benchmark(seq_len=seq_len, runs=runs, warmup=warmup)
    if as_json:
        print_json(answer.to_json())
        return
    click.echo(f"{answer.device}, {answer.runtime}, {answer.threads} threads, {seq_len} subwords, {runs} runs")
    click.echo(f"  load       {answer.load_ms:10.1f} ms")
    click.echo(f"  model p50  {answer.p50_ms:10.2f} ms, p95 {answer.p95_ms:10.2f} ms")
    click.echo(f"  around it  {answer.tokenize_ms:10.2f} ms to subwords, {answer.decode_ms:.2f} ms to labels")
    click.echo(f"  processor  {answer.cpu_ms:10.2f} ms per sentence, all threads")
    click.echo(f"  speed      {answer.tokens_per_s:10.0f} subwords/s")
    click.echo(f"  peak RSS   {answer.peak_rss_mb:10.1f} MB")
