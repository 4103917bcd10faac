// BullMQ with undici. Run with a number to queue so many, with none to work.
import { createHmac } from "node:crypto";
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Agent, request } from "undici";

const { PEER_URL, PEER_BODY, PEER_REDIS } = process.env;
const connection = new Redis(PEER_REDIS, { maxRetriesPerRequest: null });
const secret = "a secret that only measurements use";

async function queue(count) {
  const jobs = new Queue("hooks", { connection });
  for (let start = 0; start < count; start += 1000) {
    const numbers = Array.from({ length: Math.min(1000, count - start) }, (_, n) => start + n);
    await jobs.addBulk(numbers.map((number) => ({ name: "deliver", data: { number }, opts: { attempts: 7 } })));
  }
  await jobs.close();
  await connection.quit();
}

function work() {
  const dispatcher = new Agent({ connections: 64 });
  const deliver = async ({ data: { number } }) => {
    const at = Math.floor(Date.now() / 1000);
    const signature = createHmac("sha256", secret).update(`evt_${number}.${at}.${PEER_BODY}`).digest("base64");
    const { statusCode, body } = await request(`${PEER_URL}/${number % 4}`, {
      method: "POST",
      dispatcher,
      body: PEER_BODY,
      headersTimeout: 30000,
      headers: {
        "content-type": "application/json",
        "webhook-id": `evt_${number}`,
        "webhook-timestamp": String(at),
        "webhook-signature": `v1,${signature}`,
      },
    });
    await body.text();
    return statusCode;
  };
  return new Worker("hooks", deliver, { connection, concurrency: 64 });
}

if (process.argv[2]) await queue(Number(process.argv[2]));
else work();
