// Follows the intakes of submitted orders until they are final.

import { followIntakes, intakesOf } from './graph.js';
import { currentCursor, Refused } from './graph_client.js';
import { saveIntake } from './outbox.js';
import { list } from './store.js';

const FINAL = new Set(['POSTED', 'REJECTED', 'CANCELLED']);
const MOST = 100; // Intakes that a subscription may name.
const AGAIN = 3000;

export class IntakeFollower {
  // `changed` is called with the intake after its order changed, `stateChanged` with the state of the connection.
  constructor({ token, subject, changed, stateChanged, refused }) {
    Object.assign(this, { token, subject, changed, stateChanged, refused });
    this.followed = '';
    this.stream = null;
    this.timer = null;
    this.stopped = false;
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.stream?.stop();
  }

  // Starts over if other orders are open than those that are followed.
  async refresh() {
    const orders = (await list('orders', this.subject)).sort((a, b) => b.createdAt - a.createdAt);
    const open = orders.filter((order) => order.intake !== null && !FINAL.has(order.intake.state));
    const ids = open.slice(0, MOST).map((order) => order.intake.id);
    const followed = ids.join(' ');
    if (this.stopped || followed === this.followed) return;
    this.followed = followed;
    this.stream?.stop();
    clearTimeout(this.timer);
    if (ids.length > 0) await this.follow(ids);
  }

  // First the cursor, then the intakes, then what follows the cursor: no change is between them.
  async follow(ids) {
    const { followed } = this;
    try {
      const after = await currentCursor(this.token);
      for (const intake of await intakesOf(this.token, ids)) await this.save(intake);
      if (this.stopped || followed !== this.followed) return;
      this.stream = followIntakes({
        token: this.token, intakes: ids, after, stateChanged: this.stateChanged, refused: this.refused,
        received: (update) => this.apply(update),
      });
    } catch (error) {
      if (this.stopped || followed !== this.followed) return;
      if (error instanceof Refused && error.status === 401) this.refused(error);
      else this.timer = setTimeout(() => this.restart(), AGAIN);
    }
  }

  restart() {
    this.followed = '';
    return this.refresh();
  }

  async apply(update) {
    if (update.__typename === 'UpdatesLost') await this.restart();
    else if (update.intake) {
      await this.save(update.intake);
      await this.refresh();
    }
  }

  async save(intake) {
    if (await saveIntake(this.subject, intake)) await this.changed(intake);
  }
}
