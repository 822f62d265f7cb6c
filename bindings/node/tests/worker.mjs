// SPDX-License-Identifier: MIT
import { parentPort, workerData } from 'node:worker_threads';
import { Client } from 'pawl';

const client = new Client(workerData);
await client.acquire('x');
parentPort.postMessage('has it');
setInterval(() => {}, 1000);
