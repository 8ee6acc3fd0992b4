// Follows the streams whose addresses come on stdin, a JSON list, until each is told that there is
// nothing more (204), and prints what it heard: [id, type, data] for each event of each stream.
import { text } from "node:stream/consumers";
import { EventSource } from "eventsource";

const { addresses, types } = JSON.parse(await text(process.stdin));

function follow(address) {
  return new Promise((resolve) => {
    const heard = [];
    const source = new EventSource(address);
    for (const type of types) {
      source.addEventListener(type, (event) => heard.push([event.lastEventId, event.type, event.data]));
    }
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) resolve(heard);
    };
  });
}

const heard = await Promise.all(addresses.map(follow));
process.stdout.write(JSON.stringify(heard));
