import { quantile } from '../measure.js';
import { medianOf, type Series } from './results.js';

const NOT_MEASURED = '–';

/** `3,512 (3,301 to 3,640)`. */
export function withSpread(series: Series): string {
  const middle = medianOf(series);
  if (middle === null) return NOT_MEASURED;
  const values = [...series.values()];
  return values.length === 1
    ? number(middle)
    : `${number(middle)} (${number(Math.min(...values))} to ${number(Math.max(...values))})`;
}

/** `1.02 ×`. */
export function times(ratio: number | null): string {
  return ratio === null ? NOT_MEASURED : `${ratio >= 10 ? ratio.toFixed(1) : ratio.toFixed(2)} ×`;
}

/** `1.6 / 4.6`, the median and the 99th percentile. */
export function halfAndMost(samples: readonly number[]): string {
  if (samples.length === 0) return NOT_MEASURED;
  return `${quantile(samples, 0.5).toFixed(1)} / ${quantile(samples, 0.99).toFixed(1)}`;
}

export function number(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
