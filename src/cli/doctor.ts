import { Command } from 'commander';
import { type Diagnosis, diagnose } from '../postgres/doctor.js';
import type { Finding } from '../postgres/finding.js';
import { type DatabaseOptions, databaseOptions, existingDatabase, withDatabase } from './database-options.js';
import { paint, printable, printableJson, type Style } from './terminal.js';

const SIGNS: Record<Finding['level'], readonly [sign: string, style: Style]> = {
  ok: ['ok     ', 'green'],
  warning: ['warning', 'yellow'],
  error: ['ERROR  ', 'red'],
};

export function doctorCommand(): Command {
  return databaseOptions(new Command('doctor'))
    .description('Look at the database and say what is wrong with it and what to do. Changes nothing.')
    .option('--json', 'print { ok, findings } as JSON')
    .addHelpText(
      'after',
      `
Exit code: 0 when no finding is an error (warnings are none), else 1.

Examples:
  $ DATABASE_URL=postgres://app@db/app npx pgflow-live doctor
  $ npx pgflow-live doctor --json | jq '.findings[] | select(.level != "ok")'
  $ npx pgflow-live doctor             # the embedded database in .pgflow/`,
    )
    .action(async (options: DatabaseOptions & { json?: boolean }) => {
      const url = existingDatabase(options);
      const diagnosis = await withDatabase({ ...options, database: url }, (database, schema) =>
        diagnose(database, schema),
      );
      console.log(options.json ? printableJson(diagnosis) : render(diagnosis));
      if (!diagnosis.ok) process.exitCode = 1;
    });
}

function render({ findings }: Diagnosis): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, level, message, fix }) => {
    const [sign, style] = SIGNS[level];
    const line = `${paint(style, sign, process.stdout)} ${check.padEnd(width)}  ${printable(message)}`;
    return fix === null
      ? [line]
      : [line, `${' '.repeat(width + 8)}  ${paint('dim', `→ ${printable(fix)}`, process.stdout)}`];
  });
  const count = (level: Finding['level']) => findings.filter((finding) => finding.level === level).length;
  return [...lines, '', `errors: ${count('error')}, warnings: ${count('warning')}`].join('\n');
}
