import { pathToFileURL } from 'node:url';
import { runCommand } from './run-command.js';
import type { Outcome } from './tally.js';

const CHECKS = ['typecheck', 'lint', 'format:check', 'docs', 'build', 'size'];

/** Everything about the code that is not a test, each by its npm script; all run, whatever fails. */
export async function check(): Promise<Outcome> {
  const failed: string[] = [];
  for (const name of CHECKS) {
    console.log(`\n— ${name}`);
    if ((await runCommand('npm', ['run', '--silent', name])) !== 0) failed.push(name);
  }
  // A check is no test: it is not counted when it passes.
  return { part: 'check', passed: 0, failed, skipped: [] };
}

if (import.meta.url === pathToFileURL(process.argv[1]!).href) {
  const { failed } = await check();
  console.log(failed.length > 0 ? `\nFailed: ${failed.join(', ')}` : `\nAll ${CHECKS.length} checks passed.`);
  if (failed.length > 0) process.exitCode = 1;
}
