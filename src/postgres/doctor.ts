import { PgFlowError } from '../errors.js';
import type { Database } from './database.js';
import { withDeadline } from './deadline.js';
import { checkBloat, checkTasks, checkTransactions, checkWorkers } from './doctor-load.js';
import { checkInstalled, checkObjects } from './doctor-schema.js';
import { type Finding, failure, fine } from './finding.js';
import { checkListen } from './listen-test.js';

/** What the doctor found. */
export interface Diagnosis {
  /** False when a finding is an error. */
  readonly ok: boolean;
  /** One or more for each thing looked at, those that are well too. */
  readonly findings: readonly Finding[];
}

/** From where on something is worth a word. */
export interface DoctorLimits {
  /** Seconds until a notification counts as lost. */
  readonly listen: number;
  /** Seconds that a transaction may be open. */
  readonly transaction: number;
  /** Dead rows of a table below which nobody minds. */
  readonly deadRows: number;
}

const LIMITS: DoctorLimits = { listen: 5, transaction: 300, deadRows: 10_000 };
/** Seconds for each check. */
const PATIENCE = 15;
const OLDEST_SERVER = 14;

/** Looks at all that the library needs of its database. Reads only; never rejects. */
export async function diagnose(
  database: Database,
  schema: string,
  limits: Partial<DoctorLimits> = {},
): Promise<Diagnosis> {
  const { listen, transaction, deadRows } = { ...LIMITS, ...limits };
  const findings = await look('database', () => checkServer(database));
  if (findings.every(({ level }) => level === 'ok')) {
    findings.push(...(await look('listen', () => checkListen(database, listen))));
    findings.push(...(await look('transactions', () => checkTransactions(database, transaction))));
    let usable = false;
    const installed = await look('schema', async () => {
      const result = await checkInstalled(database, schema);
      usable = result.usable;
      return [result.finding];
    });
    findings.push(...installed);
    if (usable) {
      findings.push(...(await look('objects', () => checkObjects(database, schema))));
      findings.push(...(await look('bloat', () => checkBloat(database, schema, deadRows))));
      findings.push(...(await look('workers', () => checkWorkers(database, schema))));
      findings.push(...(await look('tasks', () => checkTasks(database, schema))));
    }
  }
  return { ok: findings.every(({ level }) => level !== 'error'), findings };
}

async function checkServer(database: Database): Promise<Finding[]> {
  const [row] = await database.query<{ version: string; major: number; read_only: boolean }>(
    `select current_setting('server_version') as version, current_setting('server_version_num')::int / 10000 as major,
       current_setting('transaction_read_only') = 'on' as read_only`,
  );
  const { version, major, read_only } = row!;
  if (major < OLDEST_SERVER) {
    return [failure('database', `This is PostgreSQL ${version}.`, `Upgrade to ${OLDEST_SERVER} or newer.`)];
  }
  if (read_only) {
    return [
      failure(
        'database',
        `PostgreSQL at ${database.location} is read-only.`,
        'Connect to the primary, or see default_transaction_read_only.',
      ),
    ];
  }
  return [fine('database', `PostgreSQL ${version} at ${database.location}.`)];
}

/** A check that fails is a finding; the others go on. */
async function look(check: string, fn: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await withDeadline(PATIENCE, fn());
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const fix =
      error instanceof PgFlowError && error.code === 'DATABASE_UNAVAILABLE'
        ? 'Check the address and the credentials, and that the server runs.'
        : 'Mend what the other findings say, then look again.';
    return [failure(check, `This could not be checked: ${said}`, fix)];
  }
}
