import { quoteIdentifier, type SchemaSource } from './schema.js';

/** What the SQL files make. */
export interface Manifest {
  readonly tables: readonly string[];
  /** By name, with the statement that makes it again: those of keys too. */
  readonly indexes: ReadonlyMap<string, string>;
  readonly types: readonly string[];
  /** By name, with the body as the catalog keeps it. */
  readonly functions: ReadonlyMap<string, string>;
}

/** Reads the manifest off the SQL: the files are the only list of what there is. */
export function manifestOf({ migrations, functions }: SchemaSource, schema: string): Manifest {
  const name = quoteIdentifier(schema);
  // The installer makes this one itself.
  const tables = new Set(['migrations']);
  const types = new Set<string>();
  const indexes = new Map([['migrations_pkey', `alter table ${name}.migrations add primary key (version);`]]);
  for (const { sql } of migrations) {
    for (const [, table, columns] of sql.matchAll(/^create table "[^"]+"\.(\w+) \(\n([\s\S]*?)^\)/gm)) {
      tables.add(table!);
      for (const [key, statement] of keysOf(`${name}.${table}`, table!, columns!))
        indexes.set(key, statement);
    }
    for (const [, view] of sql.matchAll(/^create view "[^"]+"\.(\w+)/gm)) tables.add(view!);
    for (const [, type] of sql.matchAll(/^create type "[^"]+"\.(\w+)/gm)) types.add(type!);
    for (const [statement, index] of sql.matchAll(/^create (?:unique )?index (\w+) on [^;]+;/gm)) {
      indexes.set(index!, statement);
    }
    for (const [, gone] of sql.matchAll(/^drop (?:table|view|index|type) (?:if exists )?"[^"]+"\.(\w+)/gm)) {
      tables.delete(gone!);
      types.delete(gone!);
      indexes.delete(gone!);
      for (const index of indexes.keys()) if (index.startsWith(`${gone}_`)) indexes.delete(index);
    }
  }
  return {
    tables: [...tables],
    types: [...types],
    indexes,
    functions: new Map(functions.map(({ name: file, sql }) => [file, bodyOf(sql)])),
  };
}

/** Keys get the names that PostgreSQL gives them. */
function keysOf(qualified: string, table: string, columns: string): [name: string, statement: string][] {
  const keys: [string, string][] = [];
  for (const line of columns.split('\n')) {
    const primary = /^\s*primary key \(([^)]+)\)/.exec(line) ?? /^\s*(\w+) .*\bprimary key\b/.exec(line);
    if (primary) keys.push([`${table}_pkey`, `alter table ${qualified} add primary key (${primary[1]});`]);
    const unique = /^\s*unique \(([^)]+)\)/.exec(line);
    if (unique) {
      const key = `${table}_${unique[1]!.split(/,\s*/).join('_')}_key`;
      keys.push([key, `alter table ${qualified} add constraint ${key} unique (${unique[1]});`]);
    }
  }
  return keys;
}

function bodyOf(sql: string): string {
  return /\bas (\$\w*\$)([\s\S]*)\1/.exec(sql)?.[2] ?? '';
}
