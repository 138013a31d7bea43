import { writeFileSync } from 'node:fs';
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node';
import type { Tally } from './tally.js';

/**
 * Writes what tests came to into the file `PGFLOW_TALLY`, after each test file, so that a crash
 * does not lose the count. A test that is skipped without a reason has failed: state one with
 * `ctx.skip('reason')` or `ctx.skip(condition, 'reason')`.
 */
export default class TallyReporter implements Reporter {
  readonly #file = process.env.PGFLOW_TALLY;
  readonly #ended = new Set<TestModule>();

  onTestModuleEnd(module: TestModule): void {
    this.#write([...this.#ended.add(module)], [], false);
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly { message: string }[]): void {
    this.#write(modules, unhandled, true);
  }

  #write(modules: readonly TestModule[], unhandled: readonly { message: string }[], finished: boolean): void {
    if (!this.#file) throw new Error('PGFLOW_TALLY names the file to write to.');
    const tally = {
      passed: 0,
      failed: [] as string[],
      skipped: [] as { name: string; reason: string }[],
      finished,
    };
    for (const module of modules) count(module, tally);
    for (const { message } of unhandled) tally.failed.push(`unhandled error: ${message}`);
    writeFileSync(this.#file, JSON.stringify(tally satisfies Tally));
  }
}

function count(
  module: TestModule,
  tally: { passed: number; failed: string[]; skipped: { name: string; reason: string }[] },
): void {
  const file = module.relativeModuleId;
  for (const error of module.errors()) tally.failed.push(`${file}: ${error.message}`);
  for (const suite of module.children.allSuites()) {
    for (const error of suite.errors()) tally.failed.push(`${file} > ${suite.fullName}: ${error.message}`);
  }
  for (const test of module.children.allTests()) {
    const name = `${file} > ${test.fullName}`;
    const result = test.result();
    if (result.state === 'passed') tally.passed += 1;
    else if (result.state === 'failed') tally.failed.push(name);
    else if (result.state === 'pending') tally.failed.push(`${name} (never ended)`);
    else if (result.note) tally.skipped.push({ name, reason: result.note });
    else if (brokenParent(test)) tally.failed.push(`${name} (not run)`);
    else tally.failed.push(`${name} (skipped without a reason: use ctx.skip(condition, 'reason'))`);
  }
}

/** Tests do not run when a hook before them failed; that is no skip. */
function brokenParent(test: TestCase): boolean {
  for (let at: TestSuite | TestModule = test.parent; ; at = at.parent) {
    if (at.errors().length > 0) return true;
    if (at.type === 'module') return false;
  }
}
