export { type Clock, createClock } from './clock.js';
