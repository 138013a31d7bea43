/** NODE_OPTIONS for a process whose clock is so many minutes off; or steps to and fro, with each look at it. */
export function wrongClock(minutes: number, swings = false): { NODE_OPTIONS: string } {
  const code = `const Real = Date; let off = ${minutes * 60_000};
    const now = () => { const at = Real.now() + off; if (${swings}) off = -off; return at; };
    globalThis.Date = class extends Real {
      constructor(...args) { if (args.length > 0) super(...args); else super(now()); }
      static now() { return now(); }
    };`;
  return { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(code)}` };
}
