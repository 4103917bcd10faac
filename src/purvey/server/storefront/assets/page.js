// Everything works without this file; it makes waiting quieter, copying and test cards easier, and times local.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const status = button.nextElementSibling;
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      status.textContent = "Copied";
      setTimeout(() => { status.textContent = ""; }, 4000);
    } catch {
      status.textContent = "Your browser did not allow it. Select the text and copy it yourself.";
    }
  });
}

for (const button of document.querySelectorAll("[data-fill]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const card = document.getElementById("card");
    card.value = button.dataset.fill;
    card.focus();
  });
}

for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  time.title = time.textContent;
  time.textContent = at.toLocaleString("en-GB", { day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
}

const waiting = document.querySelector("[data-refresh]");

// Says something to whoever looks or listens; what was said before is not said again.
function say(words) {
  if (waiting.textContent !== words) waiting.textContent = words;
}

// Asks for the page again until it no longer wants to be asked for. Slows down, and rests while nobody looks.
async function look(seconds) {
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.redirected) return location.replace(answer.url);
      if (answer.status < 500 && answer.status !== 429 && !page.querySelector("[data-refresh]")) {
        say("It is there. One moment.");
        return location.reload();
      }
      say("Not there yet. This page goes on looking.");
    } catch {
      say("The shop cannot be reached just now. This page goes on trying.");
    }
  }
  return look(Math.min(seconds * 1.2, 20));
}

if (waiting) look(Number(waiting.dataset.refresh));
