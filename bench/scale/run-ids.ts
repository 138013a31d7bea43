/** The year that is simulated: twelve months of 30 days that end now. */
export const MONTHS = 12;
const MONTH = 30 * 86_400_000;
const END = Date.now();
const BEGIN = END - MONTHS * MONTH;

/** The time of run `n` of `total`, in milliseconds, as an SQL expression; `n` is one too. */
export function timeSql(n: string, total: number): string {
  return `(${BEGIN} + (${n}) * ${Math.floor((END - BEGIN) / total)}::bigint)`;
}

/** Its id: a uuid v7, which begins with its time; after that `n`. */
export function runIdSql(n: string, total: number): string {
  return `(lpad(to_hex(${timeSql(n, total)}), 12, '0') || '70008000' || lpad(to_hex(${n}), 12, '0'))::uuid`;
}

/** The smallest id of month 0 to 12, as partitions are bounded. */
export function firstOfMonth(month: number): string {
  const hex = (BEGIN + month * MONTH).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
