"""A benchmark's result as a table for people."""

from benchmarks.harness import Report


def table(report: Report) -> str:
    """Cases, then ratios with their goals."""
    lines = [f"{report['name']}, {report['rows']} rows, on {report['machine']}", ""]
    width = max(len(name) for name in [*report["cases"], *report["ratios"]])
    lines.append(f"{'case':<{width}}  {'median s':>12}  {'min':>10}  {'max':>10}  runs")
    for name, case in report["cases"].items():
        runs = case["runs"]
        lines.append(
            f"{name:<{width}}  {case['median_seconds']:>12.6f}  {min(runs):>10.6f}  {max(runs):>10.6f}  {len(runs):>4}"
        )
    lines += ["", f"{'ratio':<{width}}  {'median':>12}  {'min':>10}  {'max':>10}  goal"]
    for name, ratio in report["ratios"].items():
        goal = f"{ratio['goal_is']} {ratio['goal']:g}: {'met' if ratio['met'] else 'MISSED'}"
        lines.append(f"{name:<{width}}  {ratio['median']:>12.3f}  {ratio['min']:>10.3f}  {ratio['max']:>10.3f}  {goal}")
    return "\n".join(lines)
