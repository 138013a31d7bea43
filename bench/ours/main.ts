import { perform } from '../measured/perform.js';
import { openOurs } from './driver.js';

await perform(openOurs);
