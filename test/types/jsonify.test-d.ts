import { expectTypeOf, test } from 'vitest';
import type { Jsonify } from '../../src/flow/jsonify.js';

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

interface Tree {
  at: Date;
  children: Tree[];
  parent?: Tree;
}

type Nothing = ReturnType<() => void>;

class Account {
  readonly balance: number = 0;
  #secret = 1;
  deposit(amount: number): number {
    return amount + this.#secret;
  }
}

class Money {
  toJSON(): { cents: number; at: Date } {
    return { cents: 0, at: new Date() };
  }
}

class Self {
  readonly name: string = 'self';
  toJSON(): this {
    return this;
  }
}

test('what JSON has stays as it is', () => {
  expectTypeOf<Jsonify<string>>().toEqualTypeOf<string>();
  expectTypeOf<Jsonify<'a' | 1 | true | null>>().toEqualTypeOf<'a' | 1 | true | null>();
  expectTypeOf<Jsonify<{ a: string; b: { c: number[] } }>>().toEqualTypeOf<{
    a: string;
    b: { c: number[] };
  }>();
  expectTypeOf<Jsonify<Record<string, number>>>().toEqualTypeOf<Record<string, number>>();
  expectTypeOf<Jsonify<{}>>().toEqualTypeOf<{}>();
  expectTypeOf<Jsonify<never>>().toEqualTypeOf<never>();
});

test('any and unknown stay, also inside', () => {
  expectTypeOf<Jsonify<any>>().toBeAny();
  expectTypeOf<Jsonify<unknown>>().toEqualTypeOf<unknown>();
  expectTypeOf<Jsonify<{ a: any; b: unknown; c?: any }>>().toEqualTypeOf<{ a: any; b: unknown; c?: any }>();
  expectTypeOf<Jsonify<any[]>>().toEqualTypeOf<any[]>();
  expectTypeOf<Jsonify<unknown[]>>().toEqualTypeOf<unknown[]>();
});

test('toJSON is honoured, once', () => {
  expectTypeOf<Jsonify<Date>>().toEqualTypeOf<string>();
  expectTypeOf<Jsonify<URL>>().toEqualTypeOf<string>();
  expectTypeOf<Jsonify<{ at: Date | null }>>().toEqualTypeOf<{ at: string | null }>();
  expectTypeOf<Jsonify<Money>>().toEqualTypeOf<{ cents: number; at: string }>();
  expectTypeOf<Jsonify<Self>>().toEqualTypeOf<{ readonly name: string }>();
  expectTypeOf<Jsonify<Buffer>>().toEqualTypeOf<{ type: 'Buffer'; data: number[] }>();
});

test('what JSON does not write is null outside of objects', () => {
  expectTypeOf<Jsonify<undefined>>().toEqualTypeOf<null>();
  expectTypeOf<Jsonify<void>>().toEqualTypeOf<null>();
  expectTypeOf<Jsonify<string | undefined>>().toEqualTypeOf<string | null>();
  expectTypeOf<Jsonify<() => string>>().toEqualTypeOf<null>();
  expectTypeOf<Jsonify<symbol>>().toEqualTypeOf<null>();
  expectTypeOf<Jsonify<(number | undefined)[]>>().toEqualTypeOf<(number | null)[]>();
});

test('and left out of objects', () => {
  expectTypeOf<
    Jsonify<{ a: 1; f: () => void; m(): void; s: symbol; u: undefined; v: Nothing }>
  >().toEqualTypeOf<{
    a: 1;
  }>();
  expectTypeOf<Jsonify<{ [Symbol.iterator]: number; a: 1 }>>().toEqualTypeOf<{ a: 1 }>();
  expectTypeOf<Jsonify<{ a: string | undefined }>>().toEqualTypeOf<{ a?: string }>();
  expectTypeOf<Jsonify<{ a: string | (() => void) }>>().toEqualTypeOf<{ a?: string }>();
  expectTypeOf<Jsonify<Account>>().toEqualTypeOf<{ readonly balance: number }>();
  expectTypeOf<Jsonify<typeof Account>>().toEqualTypeOf<null>();
});

test('optional keys stay optional, readonly keys readonly', () => {
  expectTypeOf<Jsonify<{ a?: Date; readonly b: Date; readonly c?: number }>>().toEqualTypeOf<{
    a?: string;
    readonly b: string;
    readonly c?: number;
  }>();
});

test('a bigint is never', () => {
  expectTypeOf<Jsonify<bigint>>().toEqualTypeOf<never>();
  expectTypeOf<Jsonify<{ n: bigint }>>().toEqualTypeOf<{ n: never }>();
  expectTypeOf<Jsonify<bigint[]>>().toEqualTypeOf<never[]>();
});

test('collections without own properties are {}', () => {
  expectTypeOf<Jsonify<Map<string, number>>>().toEqualTypeOf<{}>();
  expectTypeOf<Jsonify<Set<string>>>().toEqualTypeOf<{}>();
  expectTypeOf<Jsonify<ReadonlyMap<string, Set<number>>>>().toEqualTypeOf<{}>();
  expectTypeOf<Jsonify<{ m: Map<string, number>; w: WeakSet<object> }>>().toEqualTypeOf<{ m: {}; w: {} }>();
  expectTypeOf<Jsonify<RegExp>>().toEqualTypeOf<{}>();
  expectTypeOf<Jsonify<{ p: Promise<number> }>>().toEqualTypeOf<{ p: {} }>();
  expectTypeOf<Jsonify<Uint8Array>>().toEqualTypeOf<Record<string, number>>();
});

test('arrays and tuples', () => {
  expectTypeOf<Jsonify<Date[]>>().toEqualTypeOf<string[]>();
  expectTypeOf<Jsonify<readonly Date[]>>().toEqualTypeOf<readonly string[]>();
  expectTypeOf<Jsonify<[Date, number]>>().toEqualTypeOf<[string, number]>();
  expectTypeOf<Jsonify<readonly [a: Date, b?: number]>>().toEqualTypeOf<
    readonly [a: string, b?: number | null]
  >();
  expectTypeOf<Jsonify<[Date, ...Date[]]>>().toEqualTypeOf<[string, ...string[]]>();
  expectTypeOf<Jsonify<[]>>().toEqualTypeOf<[]>();
  expectTypeOf<Jsonify<Date[][]>>().toEqualTypeOf<string[][]>();
  expectTypeOf<Jsonify<RegExpMatchArray>>().toEqualTypeOf<string[]>();
});

test('unions distribute', () => {
  expectTypeOf<Jsonify<{ kind: 'a'; at: Date } | { kind: 'b'; n: bigint | 1 }>>().toEqualTypeOf<
    { kind: 'a'; at: string } | { kind: 'b'; n: 1 }
  >();
  expectTypeOf<Jsonify<Date[] | Map<string, string> | undefined>>().toEqualTypeOf<string[] | {} | null>();
});

test('recursive types end', () => {
  expectTypeOf<Jsonify<Json>>().toExtend<Json>();
  expectTypeOf<Json>().toExtend<Jsonify<Json>>();
  expectTypeOf<Jsonify<Tree>['children'][number]['at']>().toEqualTypeOf<string>();
  expectTypeOf<NonNullable<Jsonify<Tree>['parent']>['children'][number]['at']>().toEqualTypeOf<string>();
});

test('enums and branded texts stay', () => {
  type Id = string & { readonly brand: 'Id' };
  expectTypeOf<Jsonify<{ id: Id; key: `k_${string}` }>>().toEqualTypeOf<{ id: Id; key: `k_${string}` }>();
});
