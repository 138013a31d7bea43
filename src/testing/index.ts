export type { Clock } from './clock.js';
export { type Gate, gate } from './gate.js';
export { type ConformanceCase, type PubSubMedium, pubsubConformance } from './pubsub-conformance.js';
export { createTestDatabase, type TestDatabase, type TestDatabaseOptions } from './test-database.js';
export { createTestPgFlow, type TestPgFlow, type TestPgFlowOptions } from './test-pgflow.js';
