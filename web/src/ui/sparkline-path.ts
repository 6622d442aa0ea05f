export type SparkPaths = { line: string; area: string };

/**
 * SVG paths of the newest `capacity` values, right-aligned, scaled to `top`, else to their own maximum but at least to
 * `floor`, so that a breath of noise does not look like a mountain. NaN is a hole.
 */
export function sparkPaths(
  values: readonly number[],
  width: number,
  height: number,
  capacity: number,
  top?: number,
  floor = 0,
): SparkPaths {
  const shown = values.slice(-capacity);
  const highest = top ?? shown.reduce((best, value) => (value > best ? value : best), floor);
  const step = width / Math.max(1, capacity - 1);
  const y = (value: number): string =>
    (height - 1 - (highest > 0 ? Math.min(1, value / highest) : 0) * (height - 2)).toFixed(1);
  const offset = capacity - shown.length;
  let line = '';
  let area = '';
  let start = '';
  let end = '';
  const close = (): void => {
    if (start) area += `L${end},${height}L${start},${height}Z`;
    start = '';
  };
  shown.forEach((value, index) => {
    if (Number.isNaN(value)) {
      close();
      return;
    }
    const x = ((index + offset) * step).toFixed(1);
    const point = `${start ? 'L' : 'M'}${x},${y(value)}`;
    line += point;
    area += point;
    if (!start) start = x;
    end = x;
  });
  close();
  return { line, area };
}
