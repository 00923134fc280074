// What MCAP's own reader for JavaScript, which Foxglove's programs use, finds in a recording; as JSON.
// node read_recording.mjs RECORDING; the packages stand in node_modules beside this file.
import { readFileSync } from "node:fs";
import { McapIndexedReader, McapStreamReader } from "@mcap/core";
import { loadDecompressHandlers, protobufFromBinaryDescriptor } from "@mcap/support";

const content = new Uint8Array(readFileSync(process.argv[2]));
const readable = {
  size: async () => BigInt(content.length),
  read: async (offset, size) => content.slice(Number(offset), Number(offset + size)),
};
const decompressHandlers = await loadDecompressHandlers();
const count = (counts, key) => (counts[key] = (counts[key] ?? 0) + 1);

function streamed() {
  const reader = new McapStreamReader({ decompressHandlers, validateCrcs: true });
  reader.append(content);
  const topics = new Map(), counts = {};
  for (let record; (record = reader.nextRecord()); ) {
    if (record.type === "Channel") topics.set(record.id, record.topic);
    if (record.type === "Message") count(counts, topics.get(record.channelId));
  }
  return { counts, done: reader.done() };
}

async function indexed() {
  const reader = await McapIndexedReader.Initialize({ readable, decompressHandlers });
  const counts = {}, scenes = [], sought = [];
  const topicOf = (message) => reader.channelsById.get(message.channelId).topic;
  const types = new Map();
  for (const schema of reader.schemasById.values()) {
    if (schema.encoding === "protobuf") {
      types.set(schema.id, protobufFromBinaryDescriptor(schema.data).lookupType(schema.name));
    }
  }
  for await (const message of reader.readMessages({ validateCrcs: true })) {
    const channel = reader.channelsById.get(message.channelId);
    count(counts, channel.topic);
    const decoded = types.get(channel.schemaId)?.decode(message.data);
    if (channel.topic.startsWith("scene/")) {
      scenes.push(decoded.entities.map((entity) => ({
        id: entity.id,
        points: entity.triangles[0].points.length,
        indices: entity.triangles[0].indices.length,
        wrist: entity.lines[0].points[0],
      })));
    }
  }
  const { messageStartTime: start, messageEndTime: end, messageCount } = reader.statistics;
  const middle = (start + end) / 2n;
  for await (const message of reader.readMessages({ startTime: middle, reverse: false })) {
    if (topicOf(message).startsWith("hands/")) sought.push(Number((message.logTime - start) / 1000n));
  }
  const attachments = {}, metadata = {};
  for await (const attachment of reader.readAttachments()) {
    attachments[attachment.name] = JSON.parse(new TextDecoder().decode(attachment.data));
  }
  for await (const record of reader.readMetadata()) metadata[record.name] = Object.fromEntries(record.metadata);
  return { counts, scenes, sought, attachments, metadata, statistics: Number(messageCount), chunks: reader.chunkIndexes.length };
}

console.log(JSON.stringify({ streamed: streamed(), indexed: await indexed() }));
