"""What follows when a buyer has paid and the content does not come: nobody is left with nothing and no word.

Every order that waits for content has a job from the transaction of its payment, due when the seller's promise ends
(`fulfill_within`), or a day after the payment where nothing was promised. Offers: `work.CheckDelivered`, which is that job.
"""
