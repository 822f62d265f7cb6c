// SPDX-License-Identifier: MIT
import { Busy, Client } from 'pawl';

const client = new Client(process.argv[2]);
await client.acquire('x', { wait: 0 }).catch((error) => process.send(error instanceof Busy ? 'busy' : `${error}`));
await client.using('x', () => process.send('mine'));
await client.close();
process.disconnect();
