// A seller's server, as the document about dynamic_webhook describes it: it checks the v2 signature, and gives one token per key.
// The first answer to each key is lost on the way (503), so that the call has to come again.
import crypto from "node:crypto";
import http from "node:http";

const secret = process.env.SHOPPEX_DYNAMIC_WEBHOOK_SECRET;
const issuedTokens = new Map();
const lost = new Set();

function verifyShoppexSignature(rawBody, signatureHeader, deliveryId, timestampHeader) {
  if (!signatureHeader || !deliveryId || !timestampHeader) return false;
  const parts = Object.fromEntries(signatureHeader.split(",").map((part) => {
    const [key, value] = part.trim().split("=");
    return [key, value ?? ""];
  }));
  if (parts.v1 !== "" || parts.t !== timestampHeader || !parts.h) return false;
  if (Math.abs(Math.floor(Date.now() / 1000) - Number(parts.t)) > 300) return false;
  const expected = crypto.createHmac("sha256", secret).update(`${deliveryId}.${parts.t}.${rawBody}`).digest("hex");
  return crypto.timingSafeEqual(Buffer.from(parts.h), Buffer.from(expected));
}

function answer(headers, rawBody) {
  const verified = verifyShoppexSignature(
    rawBody, headers["x-shoppex-signature-v2"], headers["x-shoppex-delivery-id"], headers["x-shoppex-timestamp"]);
  if (!verified) return [401, { error: "Invalid signature" }];
  const body = JSON.parse(rawBody);
  const key = String(headers["x-shoppex-idempotency-key"] ?? body.idempotencyKey ?? body.idempotency_key ?? "").trim();
  if (!key) return [400, { error: "Missing idempotency key" }];
  if (!issuedTokens.has(key)) issuedTokens.set(key, { token: `dyn_${crypto.randomUUID()}`, expires_at: "2026-12-31T23:59:59.000Z" });
  if (!lost.has(key)) {
    lost.add(key);
    return [503, {}];
  }
  const data = { service_text: "Use this token in the bot.", dynamic_response: issuedTokens.get(key), deliveryType: "DYNAMIC", count: 1 };
  return [200, { data }];
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const [status, body] = request.method === "GET"
      ? [200, [...issuedTokens.values()]]
      : answer(request.headers, Buffer.concat(chunks).toString("utf8"));
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
